// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	driverName    = "godriver"
	driverVersion = "1.0"
	protocol      = 1
	maxSmall      = 8 << 20 // the most that Put takes
	maxSeveral    = 64
	streamStep    = 1 << 20
)

// command carries out one request.
type command func(c *connection, r *request) (answer, error)

// commands are those of section 5, and whether they take a lane. Ping is not
// run from here: it needs neither storage nor good options.
var commands map[string]struct {
	run  command
	lane bool
}

func init() {
	commands = map[string]struct {
		run  command
		lane bool
	}{
		"Hello":         {hello, false},
		"Ping":          {nil, false},
		"Stat":          {stat, false},
		"Get":           {get, false},
		"GetSeveral":    {getSeveral, false},
		"OpenFile":      {openFile, false},
		"Claim":         {claim, false},
		"OpenStream":    {openStream, true},
		"Put":           {put, true},
		"OpenWriter":    {openWriter, true},
		"CloseWriter":   {closeWriter, false},
		"AbandonWriter": {abandonWriter, false},
		"Commit":        {commit, false},
		"Move":          {move, false},
		"Delete":        {remove, false},
		"List":          {list, false},
		"Walk":          {walk, false},
		"Sync":          {syncPaths, false},
		"RedirectURL":   {redirectURL, false},
	}
}

func hello(c *connection, r *request) (answer, error) {
	lowest, highest := r.integer("protocol_min"), r.integer("protocol_max")
	if r.err != nil {
		return answer{}, r.err
	}
	if lowest > protocol || highest < protocol {
		return answer{}, refuse(codeUnsupported, "", "This driver speaks version %d of the protocol only.", protocol)
	}
	features := &page{}
	features.addText("get-several")
	return answer{results: box{"protocol": integer(protocol), "name": []byte(driverName),
		"version": []byte(driverVersion), "features": features.data, "isolation": []byte("none")}}, nil
}

func (c *connection) ping() answer {
	count, oldest := c.driver.inFlight()
	results := box{"operations": integer(int64(count)), "oldest_ms": integer(oldest.Milliseconds()),
		"bytes_moved": integer(c.driver.moved.Load())}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		results["descriptors"] = integer(int64(len(open)) - 1) // without the one that reads
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				results["resident"] = integer(pages * int64(os.Getpagesize()))
			}
		}
	}
	return answer{results: results}
}

func (m metadata) results() box {
	return box{"is_directory": boolean(m.directory), "size": integer(m.size),
		"modified": integer(m.modified), "version": []byte(m.version)}
}

func stat(c *connection, r *request) (answer, error) {
	path := r.place("path")
	if r.err != nil {
		return answer{}, r.err
	}
	data, _, err := c.driver.store.look(path)
	return answer{results: data.results()}, err
}

func get(c *connection, r *request) (answer, error) {
	path := r.path("path")
	if r.err != nil {
		return answer{}, r.err
	}
	results, err := getOne(c, path)
	return answer{results: results}, err
}

func getOne(c *connection, path string) (box, error) {
	content, data, err := c.driver.store.get(path)
	if err != nil {
		return nil, err
	}
	results := box{"size": integer(data.size), "version": []byte(data.version)}
	if content != nil {
		results["content"] = content
	}
	return results, nil
}

func getSeveral(c *connection, r *request) (answer, error) {
	paths := r.texts("paths")
	if r.err == nil && (len(paths) == 0 || len(paths) > maxSeveral) {
		r.malformed("paths")
	}
	if r.err != nil {
		return answer{}, r.err
	}
	items := &page{}
	for _, path := range paths {
		item, err := box(nil), checkPath(path)
		if err == nil {
			item, err = getOne(c, path)
		}
		if err != nil {
			why := asRefusal(err, path)
			item = box{"error": []byte(why.code), "description": why.description()}
		}
		if !items.addBox(item) {
			break
		}
	}
	return answer{results: box{"items": items.data}}, nil
}

func openFile(c *connection, r *request) (answer, error) {
	path := r.path("path")
	if r.err != nil {
		return answer{}, r.err
	}
	file, info, err := c.driver.store.open(path)
	if err != nil {
		return answer{}, err
	}
	if r.ask == nil {
		return answer{}, file.Close()
	}
	number, err := c.keepClaim(file)
	if err != nil {
		file.Close()
		return answer{}, err
	}
	is := info.Sys().(*syscall.Stat_t)
	return answer{file: file, results: box{"size": integer(info.Size()), "device": unsigned(uint64(is.Dev)),
		"inode": unsigned(is.Ino), "claim": integer(number), "version": []byte(describe(info).version)}}, nil
}

func claim(c *connection, r *request) (answer, error) {
	number := r.integer("claim")
	if r.err == nil {
		c.dropClaim(number)
	}
	return answer{}, r.err
}

func openStream(c *connection, r *request) (answer, error) {
	path, start := r.path("path"), r.integer("start")
	stop := int64(-1)
	if r.has("stop") {
		stop = r.integer("stop")
	}
	if r.lane == nil {
		r.malformed("lane")
	}
	if r.err != nil {
		return answer{}, r.err
	}
	file, info, err := c.driver.store.open(path)
	if err != nil {
		return answer{}, err
	}
	size := info.Size()
	if start < 0 || start > size || (r.has("stop") && stop < start) {
		file.Close()
		return answer{}, refuse(codeInvalidOffset, path, "The span [%d, %d) is not within the %d bytes.", start, stop, size)
	}
	if !r.has("stop") || stop > size {
		stop = size
	}
	lane := r.lane
	r.lane = nil
	return answer{results: box{"size": integer(size), "version": []byte(describe(info).version)}, then: func() {
		defer lane.Close()
		defer file.Close()
		c.stream(lane, io.NewSectionReader(file, start, stop-start))
	}}, nil
}

// stream copies content to a lane, for as long as the registry takes it.
func (c *connection) stream(lane *net.UnixConn, content io.Reader) {
	for {
		n, err := io.CopyN(lane, content, streamStep)
		c.driver.moved.Add(n)
		if err != nil { // the content's end, or the lane's
			return
		}
	}
}

func put(c *connection, r *request) (answer, error) {
	path, size := r.path("path"), r.integer("size")
	when := condition{absent: r.boolean("if_absent"), version: r.ifVersion()}
	if r.err == nil && (size < 0 || (r.lane == nil && !r.has("content"))) {
		r.malformed("content")
	}
	if r.err != nil {
		return answer{}, r.err
	}
	if size > maxSmall {
		return answer{}, refuse(codeTooLarge, path, "The content has %d bytes.", size)
	}
	content := r.box["content"]
	if r.lane != nil {
		var err error
		if content, err = io.ReadAll(io.LimitReader(r.lane, size+1)); err != nil {
			return answer{}, refuse(codeCorrupt, path, "The lane broke: %v.", err)
		}
		c.driver.moved.Add(int64(len(content)))
	}
	if int64(len(content)) != size {
		return answer{}, refuse(codeCorrupt, path, "%d bytes came, not %d.", len(content), size)
	}
	version, err := c.driver.store.put(path, content, when)
	return answer{results: box{"version": []byte(version)}}, err
}

// ifVersion reads the argument if_version.
func (r *request) ifVersion() *string {
	if !r.has("if_version") {
		return nil
	}
	version := r.text("if_version")
	return &version
}

func openWriter(c *connection, r *request) (answer, error) {
	path, offset, algorithms := r.path("path"), r.integer("offset"), r.texts("algorithms")
	if r.has("states") {
		r.path("states") // not used, but it must be one
	}
	if r.lane == nil {
		r.malformed("lane")
	}
	if r.err != nil {
		return answer{}, r.err
	}
	for _, algorithm := range algorithms { // commit computes them
		if _, err := newHash(algorithm); err != nil {
			return answer{}, err
		}
	}
	if offset < 0 {
		return answer{}, refuse(codeInvalidOffset, path, "The offset is negative.")
	}
	w, err := c.driver.store.openWriter(path, offset, r.lane, &c.driver.moved)
	if err != nil {
		return answer{}, err
	}
	r.lane = nil
	number, err := c.keepWriter(w)
	if err != nil { // the connection ended meanwhile
		w.interrupt()
		w.wait()
		w.leave()
		return answer{}, err
	}
	return answer{results: box{"writer": integer(number), "window": integer(window)}}, nil
}

func closeWriter(c *connection, r *request) (answer, error) {
	w, number, err := r.writer(c)
	if err != nil {
		return answer{}, err
	}
	if !w.startClosing() {
		return answer{}, refuse(codeClosed, w.path, "The writer is being closed already.")
	}
	w.wait()
	c.forgetWriter(number)
	size, err := w.leave()
	return answer{results: box{"size": integer(size), "digests": nil}}, err
}

func abandonWriter(c *connection, r *request) (answer, error) {
	w, number, err := r.writer(c)
	if err != nil {
		return answer{}, err
	}
	w.stop(refuse(codeClosed, w.path, "The writer was abandoned."))
	c.forgetWriter(number)
	w.leave()
	return answer{}, nil
}

// writer reads the argument that names a writer.
func (r *request) writer(c *connection) (*writer, int64, error) {
	number := r.integer("writer")
	if r.err != nil {
		return nil, 0, r.err
	}
	w, err := c.findWriter(number)
	return w, number, err
}

func commit(c *connection, r *request) (answer, error) {
	path, destination := r.path("path"), r.path("destination")
	size, digest := r.integer("size"), r.text("digest")
	if r.err != nil {
		return answer{}, r.err
	}
	return answer{}, c.driver.store.commit(path, destination, size, digest)
}

func move(c *connection, r *request) (answer, error) {
	source, destination := r.path("source"), r.path("destination")
	if r.err != nil {
		return answer{}, r.err
	}
	return answer{}, c.driver.store.move(source, destination)
}

func remove(c *connection, r *request) (answer, error) {
	path, when := r.path("path"), condition{version: r.ifVersion()}
	if r.err != nil {
		return answer{}, r.err
	}
	return answer{}, c.driver.store.remove(path, when)
}

func list(c *connection, r *request) (answer, error) {
	path, after, limit := r.place("path"), r.text("after"), r.limit()
	if r.err != nil {
		return answer{}, r.err
	}
	names, kinds, more := &page{}, &bytes.Buffer{}, false
	err := c.driver.store.list(path, after, func(name string, directory bool) bool {
		if int64(names.count) >= limit || !names.addText(name) {
			more = true
			return false
		}
		if directory {
			kinds.WriteByte('d')
		} else {
			kinds.WriteByte('f')
		}
		return true
	})
	return answer{results: box{"names": names.data, "kinds": kinds.Bytes(), "has_more": boolean(more)}}, err
}

func walk(c *connection, r *request) (answer, error) {
	path, after := r.place("path"), r.text("after")
	skip, limit := r.boolean("skip_subtree"), r.limit()
	if r.err != nil {
		return answer{}, r.err
	}
	if after != "" {
		if err := checkPath(after); err != nil || !isBelow(after, path) {
			return answer{}, refuse(codeInvalidPath, path, "The walk can't go on after %.100q.", after)
		}
	}
	entries := &page{}
	all, err := c.driver.store.walk(path, after, skip, func(at string, data metadata) bool {
		item := data.results()
		item["path"] = []byte(at)
		return int64(entries.count) < limit && entries.addBox(item)
	})
	return answer{results: box{"entries": entries.data, "has_more": boolean(!all)}}, err
}

func syncPaths(c *connection, r *request) (answer, error) {
	paths := r.texts("paths")
	if r.err != nil {
		return answer{}, r.err
	}
	for _, path := range paths {
		if path == "/" {
			path = ""
		} else if err := checkPath(path); err != nil {
			return answer{}, err
		}
		if err := c.driver.store.makeDurable(path); err != nil {
			return answer{}, fmt.Errorf("sync: %w", err)
		}
	}
	return answer{}, nil
}

func redirectURL(c *connection, r *request) (answer, error) {
	r.path("path")
	return answer{}, r.err // only the registry can serve these files
}
