// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// driver is what all connections share.
type driver struct {
	store *store
	fault *refusal // set instead of the store if the options are no good
	moved atomic.Int64

	mu          sync.Mutex
	connections map[*connection]bool
	operations  map[*request]time.Time // since when each one waits for its answer
	busy        sync.WaitGroup         // connections and operations
	ending      bool
}

func newDriver() *driver {
	return &driver{connections: map[*connection]bool{}, operations: map[*request]time.Time{}}
}

// accept serves connections until the listener is closed.
func (d *driver) accept(listener *net.UnixListener) {
	for {
		socket, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors, most likely
			log.Printf("godriver: can't accept: %v", err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		c := newConnection(d, socket)
		d.mu.Lock()
		if d.ending {
			d.mu.Unlock()
			socket.Close()
			return
		}
		d.connections[c] = true
		d.busy.Add(1)
		d.mu.Unlock()
		go func() {
			defer d.busy.Done()
			c.serve()
			d.mu.Lock()
			delete(d.connections, c)
			d.mu.Unlock()
		}()
	}
}

// begin notes that an operation is in flight. It is called by a connection
// that is being served, so drain can't have finished.
func (d *driver) begin(r *request) {
	d.busy.Add(1)
	d.mu.Lock()
	d.operations[r] = time.Now()
	d.mu.Unlock()
}

func (d *driver) finish(r *request) {
	d.mu.Lock()
	delete(d.operations, r)
	d.mu.Unlock()
	d.busy.Done()
}

// inFlight counts the operations and tells the age of the oldest.
func (d *driver) inFlight() (count int, oldest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, since := range d.operations {
		if age := time.Since(since); age > oldest {
			oldest = age
		}
	}
	return len(d.operations), oldest
}

// drain treats every connection as lost, waits until what arrived is stored
// and tells whether that was done in time.
func (d *driver) drain(patience time.Duration) bool {
	d.mu.Lock()
	d.ending = true
	for c := range d.connections {
		c.socket.Close()
	}
	d.mu.Unlock()
	done := make(chan struct{})
	go func() {
		d.busy.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(patience):
		return false
	}
}
