// SPDX-License-Identifier: Apache-2.0

package main

import "sync"

// pathLocks lets one command at a time change a path and everything below it.
// Who comes first goes first; commands on unrelated paths don't meet.
type pathLocks struct {
	mu      sync.Mutex
	changed *sync.Cond
	queue   []*pathLock // those that hold and those that wait, oldest first
}

type pathLock struct{ paths []string }

func newPathLocks() *pathLocks {
	l := &pathLocks{}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// acquire locks all the paths at once and returns the function that releases
// them. Holding one lock, never ask for another.
func (l *pathLocks) acquire(paths ...string) (release func()) {
	mine := &pathLock{paths}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, mine)
	for l.mustWait(mine) {
		l.changed.Wait()
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, other := range l.queue {
			if other == mine {
				l.queue = append(l.queue[:i], l.queue[i+1:]...)
				break
			}
		}
		l.changed.Broadcast()
	}
}

func (l *pathLocks) mustWait(mine *pathLock) bool {
	for _, other := range l.queue {
		if other == mine {
			return false
		}
		if mine.meets(other) {
			return true
		}
	}
	return false
}

func (l *pathLock) meets(other *pathLock) bool {
	for _, a := range l.paths {
		for _, b := range other.paths {
			if a == b || isBelow(a, b) || isBelow(b, a) {
				return true
			}
		}
	}
	return false
}
