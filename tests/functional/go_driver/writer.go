// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// window is the most that a writer holds without having confirmed it.
const window = 256 << 10

// writer appends to a file what arrives on a lane. Its own goroutine does that,
// and ends at the lane's end, at the first error, or when it is stopped.
type writer struct {
	store *store
	path  string
	file  *os.File
	lane  *net.UnixConn
	moved *atomic.Int64

	received atomic.Int64  // bytes up to here were taken from the lane
	size     atomic.Int64  // bytes up to here are stored
	done     chan struct{} // closed when nothing is written any more

	mu      sync.Mutex
	reason  *refusal // why it could not go on
	closing bool     // CloseWriter was asked
}

func newWriter(s *store, path string, file *os.File, lane *net.UnixConn, size int64, moved *atomic.Int64) *writer {
	w := &writer{store: s, path: path, file: file, lane: lane, moved: moved, done: make(chan struct{})}
	w.received.Store(size)
	w.size.Store(size)
	return w
}

// run takes the lane to its end.
func (w *writer) run() {
	confirmed := make(chan int64, 1)
	go w.confirm(confirmed)
	if err := w.take(confirmed); err != nil {
		w.fail(asRefusal(err, w.path))
	}
	close(confirmed)
	w.store.stamp(w.store.full(w.path))
	if err := w.file.Close(); err != nil {
		w.fail(asRefusal(err, w.path))
	}
	close(w.done)
}

func (w *writer) take(confirmed chan int64) error {
	buffer := make([]byte, window)
	for {
		n, err := w.lane.Read(buffer)
		if storeErr := w.append(buffer[:n], confirmed); storeErr != nil {
			return storeErr
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
			// The registry half-closed the lane, or closed it without having
			// read all confirmations: the stored size is the truth.
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return w.rest(buffer, confirmed)
		default:
			return err
		}
	}
}

// rest takes what is on the lane of a lost connection, and waits for no more.
func (w *writer) rest(buffer []byte, confirmed chan int64) error {
	raw, err := w.lane.SyscallConn()
	if err != nil {
		return err
	}
	if err := w.lane.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	for {
		var n int
		var readErr error
		err := raw.Read(func(descriptor uintptr) bool {
			n, readErr = syscall.Read(int(descriptor), buffer)
			return true // also if it would block
		})
		switch {
		case err != nil:
			return err
		case readErr == syscall.EINTR:
		case readErr != nil || n == 0:
			return nil
		default:
			if err := w.append(buffer[:n], confirmed); err != nil {
				return err
			}
		}
	}
}

// append hands bytes to the operating system: with that they are stored, as
// the document has it. Then it leaves the new size to confirm, in place of an
// older one that has not been sent yet.
func (w *writer) append(data []byte, confirmed chan int64) error {
	if len(data) == 0 {
		return nil
	}
	w.received.Add(int64(len(data)))
	n, err := w.file.WriteAt(data, w.size.Load())
	size := w.size.Add(int64(n))
	w.moved.Add(int64(n))
	if err != nil {
		return err
	}
	select {
	case <-confirmed:
	default:
	}
	confirmed <- size // never blocks: this is the only sender
	return nil
}

// confirm writes confirmations for as long as the lane takes them. It may wait
// for a registry that reads none; closing the lane frees it.
func (w *writer) confirm(confirmed <-chan int64) {
	for size := range confirmed {
		if _, err := w.lane.Write(binary.BigEndian.AppendUint64(nil, uint64(size))); err != nil {
			return
		}
	}
}

// fail keeps the first reason for CloseWriter and ends the lane.
func (w *writer) fail(why *refusal) {
	w.mu.Lock()
	if w.reason == nil {
		w.reason = why
	}
	w.mu.Unlock()
	w.lane.Close()
}

// stop ends the writer at once, for the reason given.
func (w *writer) stop(why *refusal) {
	w.fail(why)
	w.wait()
}

// interrupt makes the writer store what has arrived and then end.
func (w *writer) interrupt() { _ = w.lane.SetReadDeadline(time.Unix(1, 0)) }

func (w *writer) wait() { <-w.done }

// startClosing tells whether this is the first CloseWriter.
func (w *writer) startClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := !w.closing
	w.closing = true
	return first
}

// leave gives the path free and tells how the writer ended.
func (w *writer) leave() (int64, error) {
	w.store.forget(w)
	w.lane.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reason != nil {
		return 0, w.reason
	}
	return w.size.Load(), nil
}
