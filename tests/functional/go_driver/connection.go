// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"syscall"
)

// maxWaiting is how many descriptors may wait on a connection for the box that
// names them.
const maxWaiting = 64

// connection is one of the registry's connections: the descriptors that came
// over it, the files that it was given and the writers that it opened.
type connection struct {
	driver *driver
	socket *net.UnixConn

	// Used by serve alone.
	buffer   []byte
	unread   []byte
	received int64         // descriptors counted so far
	waiting  map[int64]int // those that no box has named yet

	sending sync.Mutex
	sent    int64 // descriptors passed to the registry so far

	mu         sync.Mutex
	ended      bool
	claims     map[int64]*os.File // until the registry has the descriptor
	nextClaim  int64
	writers    map[int64]*writer
	nextWriter int64
}

// request is one that is being carried out.
type request struct {
	ask     []byte // nil if no answer is wanted
	command string
	arguments
	lane *net.UnixConn // nil if none came
}

// answer is what a command gives.
type answer struct {
	results box
	file    *os.File // travels with the answer, as "file"; a claim keeps it open
	then    func()   // what is left to do when the answer is sent
}

func newConnection(d *driver, socket *net.UnixConn) *connection {
	return &connection{driver: d, socket: socket, buffer: make([]byte, 65536), waiting: map[int64]int{},
		claims: map[int64]*os.File{}, writers: map[int64]*writer{}}
}

// serve reads requests until the connection ends. Each is carried out on its
// own, so that a slow one doesn't hold up the others.
func (c *connection) serve() {
	defer c.end()
	for {
		b, err := c.receive()
		if err == nil {
			err = c.dispatch(b)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				log.Printf("godriver: dropping a connection: %v", err)
			}
			return
		}
	}
}

// receive returns the next box.
func (c *connection) receive() (box, error) {
	for {
		b, length, err := parseBox(c.unread)
		if err != nil {
			return nil, err
		}
		if length > 0 {
			c.unread = c.unread[length:]
			return b, nil
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads once from the socket, bytes and descriptors. ReadMsgUnix receives
// with MSG_CMSG_CLOEXEC.
func (c *connection) fill() error {
	control := make([]byte, syscall.CmsgSpace(8*4))
	n, controlled, flags, _, err := c.socket.ReadMsgUnix(c.buffer, control)
	if takeErr := c.count(control[:controlled]); takeErr != nil {
		return takeErr
	}
	if err != nil {
		return err
	}
	if flags&syscall.MSG_CTRUNC != 0 {
		return errors.New("a descriptor was cut off")
	}
	if len(c.waiting) > maxWaiting {
		return errors.New("too many descriptors wait")
	}
	if n == 0 {
		return io.EOF
	}
	c.unread = append(c.unread, c.buffer[:n]...)
	return nil
}

// count numbers the descriptors that came with a message.
func (c *connection) count(control []byte) error {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return err
	}
	for i := range messages {
		if messages[i].Header.Type != syscall.SCM_RIGHTS {
			continue
		}
		descriptors, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		for _, descriptor := range descriptors {
			syscall.CloseOnExec(descriptor)
			c.waiting[c.received] = descriptor
			c.received++
		}
	}
	return nil
}

// takeLane takes the stream lane that a request names. Anything doubtful is
// the end of the connection: its count of descriptors can't be trusted.
func (c *connection) takeLane(a *arguments) (*net.UnixConn, error) {
	ordinal := a.integer("lane")
	device, inode := a.identity("lane_device"), a.identity("lane_inode")
	descriptor, ok := c.waiting[ordinal]
	if a.err != nil || !ok {
		return nil, fmt.Errorf("no descriptor came for the lane %d", ordinal)
	}
	delete(c.waiting, ordinal)
	file := os.NewFile(uintptr(descriptor), "lane")
	defer file.Close() // FileConn makes its own copy
	var is syscall.Stat_t
	if err := syscall.Fstat(descriptor, &is); err != nil {
		return nil, err
	}
	if uint64(is.Dev) != device || uint64(is.Ino) != inode {
		return nil, fmt.Errorf("another descriptor came for the lane %d", ordinal)
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	lane, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("the lane %d is no UNIX socket", ordinal)
	}
	return lane, nil
}

// dispatch starts a request. An error ends the connection.
func (c *connection) dispatch(b box) error {
	name, ok := b["_command"]
	if !ok {
		return errors.New("a box that is no request arrived")
	}
	r := &request{ask: b["_ask"], command: string(name), arguments: arguments{box: b}}
	known, ok := commands[r.command]
	if !ok {
		go c.refuse(r, refuse(codeUnhandled, "", "The command %.100q is unknown.", r.command))
		return nil
	}
	if known.lane && r.has("lane") {
		lane, err := c.takeLane(&r.arguments)
		if err != nil {
			return err
		}
		r.lane = lane
	}
	if r.command == "Ping" {
		go c.reply(r, c.ping())
		return nil
	}
	c.driver.begin(r)
	go c.carryOut(r, known.run)
	return nil
}

// carryOut runs one command. Commands that keep the request's lane take it out
// of the request; otherwise it is closed here.
func (c *connection) carryOut(r *request, run command) {
	var done answer
	var err error
	if c.driver.fault != nil {
		err = c.driver.fault
	} else {
		done, err = run(c, r)
	}
	if r.lane != nil {
		r.lane.Close()
	}
	if err != nil {
		c.refuse(r, asRefusal(err, string(r.box["path"])))
	} else {
		c.reply(r, done)
	}
	c.driver.finish(r)
	if done.then != nil {
		done.then()
	}
}

func (c *connection) reply(r *request, done answer) {
	if r.ask == nil {
		return
	}
	b := box{"_answer": r.ask}
	for key, value := range done.results {
		b[key] = value
	}
	var tooLarge *refusal
	if err := c.send(b, done.file); errors.As(err, &tooLarge) {
		c.refuse(r, tooLarge)
	}
}

func (c *connection) refuse(r *request, why *refusal) {
	if why.code == codeInternal {
		log.Printf("godriver: %s: %v", r.command, why)
	}
	if r.ask != nil {
		_ = c.send(box{"_error": r.ask, "_error_code": []byte(why.code), "_error_description": why.description()}, nil)
	}
}

// send writes one box. A descriptor travels with the box's first byte. Errors
// of the socket need no care: serve sees the connection's end too.
func (c *connection) send(b box, file *os.File) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if file != nil {
		b["file"] = integer(c.sent)
	}
	data, err := b.encode()
	if err != nil {
		return err
	}
	if file != nil {
		raw, err := file.SyscallConn()
		if err != nil {
			return err
		}
		var sendErr error
		err = raw.Control(func(descriptor uintptr) {
			_, _, sendErr = c.socket.WriteMsgUnix(data[:1], syscall.UnixRights(int(descriptor)), nil)
		})
		if err == nil {
			err = sendErr
		}
		if err != nil {
			c.socket.Close() // half a box may be out
			return err
		}
		c.sent++
		data = data[1:]
	}
	if _, err = c.socket.Write(data); err != nil {
		c.socket.Close()
	}
	return err
}

var errEnded = errors.New("the connection has ended")

// keepClaim keeps a file open until the registry claims it.
func (c *connection) keepClaim(file *os.File) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, errEnded
	}
	c.nextClaim++
	c.claims[c.nextClaim] = file
	return c.nextClaim, nil
}

func (c *connection) dropClaim(claim int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if file, ok := c.claims[claim]; ok {
		delete(c.claims, claim)
		file.Close()
	}
}

func (c *connection) keepWriter(w *writer) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return 0, errEnded
	}
	c.nextWriter++
	c.writers[c.nextWriter] = w
	return c.nextWriter, nil
}

func (c *connection) findWriter(number int64) (*writer, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w, ok := c.writers[number]
	if !ok {
		return nil, refuse(codeClosed, "", "There is no writer %d on this connection.", number)
	}
	return w, nil
}

func (c *connection) forgetWriter(number int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.writers, number)
}

// end gives up everything that belongs to the connection. What the registry
// put on the writers' lanes is stored first.
func (c *connection) end() {
	c.socket.Close()
	for _, descriptor := range c.waiting {
		syscall.Close(descriptor)
	}
	c.mu.Lock()
	c.ended = true
	claims, writers := c.claims, c.writers
	c.claims, c.writers = nil, nil
	c.mu.Unlock()
	for _, file := range claims {
		file.Close()
	}
	for _, w := range writers {
		w.interrupt()
	}
	for _, w := range writers {
		w.wait()
		w.leave()
	}
}
