// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The driver's own names in the directory: no path of the registry has a "~".
const (
	lockName      = "~lock"
	temporaryName = "~temporary"
)

// store is the storage: a path of the registry is that file below root.
// It relies on being alone: openStore takes a lock that lasts as long as the
// process. Files are never changed in place but for appending; whatever may be
// linked twice (see commit) is copied before a writer appends to it.
type store struct {
	root      string
	temporary string // files here have no meaning after the process's end
	lock      *os.File
	locks     *pathLocks
	serial    atomic.Int64 // for names in temporary

	mu        sync.Mutex
	lastStamp int64
	writers   map[string]*writer
}

// metadata is what Stat and Walk tell.
type metadata struct {
	directory      bool
	size, modified int64
	version        string
}

func openStore(root string) (*store, error) {
	s := &store{root: root, temporary: filepath.Join(root, temporaryName),
		locks: newPathLocks(), writers: map[string]*writer{}}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, err
	}
	if err := s.lockRoot(); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(s.temporary); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.temporary, 0o755); err != nil {
		return nil, err
	}
	for directory := root; ; directory = filepath.Dir(directory) { // root may be new
		if err := syncPath(directory); err != nil && directory == root {
			return nil, err
		}
		if directory == filepath.Dir(directory) {
			return s, nil
		}
	}
}

func (s *store) lockRoot() error {
	file, err := os.OpenFile(filepath.Join(s.root, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	for until := time.Now().Add(lockPatience); ; time.Sleep(50 * time.Millisecond) {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			s.lock = file
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(until) {
			file.Close()
			return fmt.Errorf("another driver may be using it: %w", err)
		}
	}
}

func (s *store) full(path string) string { return s.root + path }

func (s *store) newTemporary() string {
	return filepath.Join(s.temporary, fmt.Sprint(s.serial.Add(1)))
}

// look tells what is at a path; the root is the empty path.
func (s *store) look(path string) (metadata, os.FileInfo, error) {
	info, err := os.Lstat(s.full(path))
	if isMissing(err) || (err == nil && !info.IsDir() && !info.Mode().IsRegular()) {
		return metadata{}, nil, missing(path)
	}
	if err != nil {
		return metadata{}, nil, err
	}
	return describe(info), info, nil
}

// present tells what is at a path where something is to be made: if nothing is
// there yet, info is nil. A path that runs through a file is refused.
func (s *store) present(path string) (metadata, os.FileInfo, error) {
	info, err := os.Lstat(s.full(path))
	if errors.Is(err, syscall.ENOENT) || (err == nil && !info.IsDir() && !info.Mode().IsRegular()) {
		return metadata{}, nil, nil
	}
	if err != nil { // ENOTDIR and ENAMETOOLONG become InvalidPath
		return metadata{}, nil, err
	}
	return describe(info), info, nil
}

func describe(info os.FileInfo) metadata {
	if info.IsDir() {
		return metadata{directory: true, modified: info.ModTime().UnixNano()}
	}
	modified, size := info.ModTime().UnixNano(), info.Size()
	inode := info.Sys().(*syscall.Stat_t).Ino
	return metadata{size: size, modified: modified, version: fmt.Sprintf("%x-%x-%x", modified, inode, size)}
}

// stamp gives a finished file a time of its own. The kernel's clock is coarse
// and inodes are used again, so without it two contents could have one version.
func (s *store) stamp(name string) {
	s.mu.Lock()
	now := time.Now().UnixNano()
	if now <= s.lastStamp {
		now = s.lastStamp + 1
	}
	s.lastStamp = now
	s.mu.Unlock()
	_ = os.Chtimes(name, time.Unix(0, now), time.Unix(0, now))
}

// open opens a file for reading.
func (s *store) open(path string) (*os.File, os.FileInfo, error) {
	data, _, err := s.look(path)
	if err != nil {
		return nil, nil, err
	}
	if data.directory {
		return nil, nil, missing(path)
	}
	file, err := os.OpenFile(s.full(path), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		if isMissing(err) {
			err = missing(path)
		}
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = missing(path)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// get returns a file's content if it is small, and its metadata.
func (s *store) get(path string) (content []byte, data metadata, err error) {
	file, info, err := s.open(path)
	if err != nil {
		return nil, metadata{}, err
	}
	defer file.Close()
	data = describe(info)
	if data.size > maxInline {
		return nil, data, nil
	}
	content = make([]byte, data.size)
	_, err = io.ReadFull(file, content)
	return content, data, err
}

// condition is what must be at a path for it to be changed.
type condition struct {
	absent  bool
	version *string
}

func (c condition) check(path string, data metadata, info os.FileInfo) error {
	if c.absent && info != nil {
		return refuse(codeExists, path, "Something is there already.")
	}
	if c.version != nil && (info == nil || data.directory || data.version != *c.version) {
		return refuse(codeChanged, path, "Another version is there.")
	}
	return nil
}

// put stores small content: whole or not at all, durably.
func (s *store) put(path string, content []byte, when condition) (string, error) {
	defer s.locks.acquire(path)()
	data, info, err := s.present(path)
	if err != nil {
		return "", err
	}
	if err := when.check(path, data, info); err != nil {
		return "", err
	}
	if data.directory {
		return "", refuse(codeInvalidPath, path, "A directory is there.")
	}
	temporary, err := s.writeTemporary(bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary)
	s.fence(path)
	if err := s.publish(temporary, path); err != nil {
		return "", err
	}
	data, _, err = s.look(path)
	return data.version, err
}

// writeTemporary makes a synced file of its own and returns its name.
func (s *store) writeTemporary(content io.Reader) (string, error) {
	name := s.newTemporary()
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	_, err = io.Copy(file, content)
	if err == nil {
		s.stamp(name)
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(name)
		return "", err
	}
	return name, nil
}

// publish renames a file into its place and syncs all that leads to it.
func (s *store) publish(temporary, path string) error {
	if err := s.makeParents(path); err != nil {
		return err
	}
	if err := os.Rename(temporary, s.full(path)); err != nil {
		return err
	}
	return s.syncUpwards(filepath.Dir(s.full(path)))
}

func (s *store) makeParents(path string) error {
	return os.MkdirAll(filepath.Dir(s.full(path)), 0o755)
}

// openWriter opens the one writer of a path. Older ones are fenced first.
func (s *store) openWriter(path string, offset int64, lane *net.UnixConn, moved *atomic.Int64) (*writer, error) {
	defer s.locks.acquire(path)()
	if older := s.writerOf(path); older != nil {
		// A stale request is refused and fences nobody.
		if size := older.size.Load(); offset < size || offset > older.received.Load() {
			return nil, wrongOffset(path, offset, size)
		}
		s.fence(path)
	}
	data, info, err := s.present(path)
	if err != nil {
		return nil, err
	}
	if data.directory {
		return nil, refuse(codeInvalidPath, path, "A directory is there.")
	}
	if offset != data.size {
		return nil, wrongOffset(path, offset, data.size)
	}
	if info != nil && info.Sys().(*syscall.Stat_t).Nlink > 1 {
		if err := s.unshare(path); err != nil {
			return nil, err
		}
	}
	if err := s.makeParents(path); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(s.full(path), os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	w := newWriter(s, path, file, lane, offset, moved)
	s.mu.Lock()
	s.writers[path] = w
	s.mu.Unlock()
	go w.run()
	return w, nil
}

// unshare gives a path a copy of its own of what it shares with a committed one.
func (s *store) unshare(path string) error {
	file, _, err := s.open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	temporary, err := s.writeTemporary(file)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	return s.publish(temporary, path)
}

// fence stops the writers of a path and of all below it, and waits for them.
// The path's lock is held, so that no new one comes.
func (s *store) fence(path string) {
	s.mu.Lock()
	var fenced []*writer
	for at, w := range s.writers {
		if at == path || isBelow(at, path) {
			fenced = append(fenced, w)
			delete(s.writers, at)
		}
	}
	s.mu.Unlock()
	for _, w := range fenced {
		w.stop(refuse(codeFenced, w.path, "The path was taken from this writer."))
	}
}

func (s *store) writerOf(path string) *writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writers[path]
}

// forget takes a writer off the list, unless another has its place.
func (s *store) forget(w *writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writers[w.path] == w {
		delete(s.writers, w.path)
	}
}

func newHash(algorithm string) (hash.Hash, error) {
	switch algorithm {
	case "sha256":
		return sha256.New(), nil
	case "sha512":
		return sha512.New(), nil
	}
	return nil, refuse(codeUnsupported, "", "The digest algorithm %.100q is unknown.", algorithm)
}

// commit verifies what is at path and publishes it as destination, by a second
// link to the same file where the file system can do that.
func (s *store) commit(path, destination string, size int64, digest string) error {
	algorithm, expected, _ := strings.Cut(digest, ":")
	sum, err := newHash(algorithm)
	if err != nil {
		return err
	}
	defer s.locks.acquire(path, destination)()
	s.fence(path)
	file, info, err := s.open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if info.Size() != size {
		return refuse(codeMismatch, path, "%d bytes are stored, not %d.", info.Size(), size)
	}
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if actual := hex.EncodeToString(sum.Sum(nil)); actual != expected {
		return refuse(codeMismatch, path, "The stored bytes are %s:%s.", algorithm, actual)
	}
	there, thereInfo, err := s.present(destination)
	if err != nil {
		return err
	}
	if there.directory {
		return refuse(codeInvalidPath, destination, "A directory is there.")
	}
	if thereInfo != nil && os.SameFile(info, thereInfo) { // committed before, or path itself
		return s.makeDurable(destination)
	}
	if err := file.Sync(); err != nil {
		return err
	}
	temporary := s.newTemporary()
	if err := os.Link(s.full(path), temporary); err != nil {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if temporary, err = s.writeTemporary(file); err != nil {
			return err
		}
	}
	defer os.Remove(temporary)
	s.fence(destination)
	return s.publish(temporary, destination)
}

// move renames a file or a directory, durably with all that is below it.
func (s *store) move(source, destination string) error {
	defer s.locks.acquire(source, destination)()
	from, fromInfo, err := s.look(source)
	if err != nil {
		return err
	}
	if isBelow(destination, source) || isBelow(source, destination) {
		return refuse(codeInvalidPath, destination, "Source and destination are one below the other.")
	}
	s.fence(source)
	if err := s.syncTree(s.full(source)); err != nil {
		return err
	}
	if source == destination {
		return s.syncUpwards(filepath.Dir(s.full(source)))
	}
	if err := s.makeParents(destination); err != nil {
		return err
	}
	s.fence(destination)
	to, toInfo, err := s.present(destination)
	if err != nil {
		return err
	}
	switch {
	case toInfo != nil && os.SameFile(fromInfo, toInfo): // rename(2) would do nothing
		err = os.Remove(s.full(source))
	case toInfo != nil && (from.directory || to.directory):
		// The old content goes first: if we die in between, source is whole.
		aside := s.newTemporary()
		defer os.RemoveAll(aside)
		if err = os.Rename(s.full(destination), aside); err == nil {
			err = os.Rename(s.full(source), s.full(destination))
		}
	default:
		err = os.Rename(s.full(source), s.full(destination))
	}
	if err != nil {
		return err
	}
	if err := s.syncUpwards(filepath.Dir(s.full(destination))); err != nil {
		return err
	}
	return syncPath(filepath.Dir(s.full(source)))
}

// remove deletes a file, or a directory with all below it, in one step.
func (s *store) remove(path string, when condition) error {
	defer s.locks.acquire(path)()
	data, info, err := s.look(path)
	if err != nil {
		return err
	}
	if err := when.check(path, data, info); err != nil {
		return err
	}
	s.fence(path)
	aside := s.newTemporary()
	defer os.RemoveAll(aside)
	if err := os.Rename(s.full(path), aside); err != nil {
		return err
	}
	return syncPath(filepath.Dir(s.full(path)))
}

// names lists the entries of a directory that paths can have, in byte order.
func (s *store) names(path string) ([]os.DirEntry, error) {
	entries, err := os.ReadDir(s.full(path)) // sorted by name
	if isMissing(err) {
		return nil, missing(path)
	}
	shown := entries[:0]
	for _, entry := range entries {
		if isName(entry.Name()) && (entry.IsDir() || entry.Type().IsRegular()) {
			shown = append(shown, entry)
		}
	}
	return shown, err
}

// list visits the names directly below a directory that come after a name,
// until visit returns false.
func (s *store) list(path, after string, visit func(name string, directory bool) bool) error {
	entries, err := s.names(path)
	if err != nil {
		return err
	}
	first := sort.Search(len(entries), func(i int) bool { return entries[i].Name() > after })
	for _, entry := range entries[first:] {
		if !visit(entry.Name(), entry.IsDir()) {
			return nil
		}
	}
	return nil
}

// walk visits everything below a directory that comes after a path, until
// visit returns false, which it then returns too.
func (s *store) walk(path, after string, skip bool, visit func(path string, data metadata) bool) (bool, error) {
	entries, err := s.names(path)
	if err != nil {
		return true, err
	}
	for _, entry := range entries {
		at := path + "/" + entry.Name()
		if at != after && !isBelow(after, at) {
			if !comesAfter(at, after) {
				continue
			}
			info, err := entry.Info()
			if isMissing(err) {
				continue // it went away meanwhile
			}
			if err != nil {
				return true, err
			}
			if !visit(at, describe(info)) {
				return false, nil
			}
		}
		if entry.IsDir() && !(skip && at == after) {
			more, err := s.walk(at, after, skip, visit)
			var r *refusal
			if err != nil && !(errors.As(err, &r) && r.code == codeMissing) {
				return true, err
			}
			if !more {
				return false, nil
			}
		}
	}
	return true, nil
}

// comesAfter compares paths in the order of a walk: part by part.
func comesAfter(path, other string) bool {
	return strings.ReplaceAll(path, "/", "\x00") > strings.ReplaceAll(other, "/", "\x00")
}

// makeDurable syncs a file's content or a directory's names, and what leads
// there.
func (s *store) makeDurable(path string) error {
	if _, _, err := s.look(path); err != nil {
		return err
	}
	if err := syncPath(s.full(path)); err != nil || path == "" {
		return err
	}
	return s.syncUpwards(filepath.Dir(s.full(path)))
}

// syncUpwards syncs a directory and those above it. All of them: an earlier
// run may have made one and died before it synced it.
func (s *store) syncUpwards(directory string) error {
	for ; ; directory = filepath.Dir(directory) {
		if err := syncPath(directory); err != nil || directory == s.root {
			return err
		}
	}
}

func (s *store) syncTree(name string) error {
	return filepath.WalkDir(name, func(at string, entry os.DirEntry, err error) error {
		if err != nil || !(entry.IsDir() || entry.Type().IsRegular()) {
			return err
		}
		return syncPath(at)
	})
}

func syncPath(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
