// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxKey    = 255
	maxValue  = 65535
	maxBox    = 1 << 20 // far more than any request of the document
	maxPath   = 2048
	maxInline = 32768
)

// box is one control message: an AMP box.
type box map[string][]byte

var errBadBox = errors.New("a box that can't be parsed arrived")

// parseBox takes the first box off data and tells how many bytes it had.
// Zero means that the box is not complete yet.
func parseBox(data []byte) (box, int, error) {
	b := box{}
	at := 0
	// field returns the next length-prefixed field, and false if it is cut off.
	field := func() ([]byte, bool) {
		if len(data)-at < 2 {
			return nil, false
		}
		length := int(binary.BigEndian.Uint16(data[at:]))
		if len(data)-at-2 < length {
			return nil, false
		}
		value := data[at+2 : at+2+length]
		at += 2 + length
		return value, true
	}
	for {
		if at > maxBox || (len(data)-at >= 2 && data[at] != 0) { // a key's length is at most 255
			return nil, 0, errBadBox
		}
		key, ok := field()
		if !ok {
			return nil, 0, nil
		}
		if len(key) == 0 {
			if len(b) == 0 {
				return nil, 0, errBadBox
			}
			return b, at, nil
		}
		value, ok := field()
		if !ok {
			return nil, 0, nil
		}
		if _, twice := b[string(key)]; twice {
			return nil, 0, errBadBox
		}
		b[string(key)] = append([]byte{}, value...)
	}
}

// encode is the box's form on the wire.
func (b box) encode() ([]byte, error) {
	keys := make([]string, 0, len(b))
	for key, value := range b {
		if len(key) == 0 || len(key) > maxKey || len(value) > maxValue {
			return nil, refuse(codeInternal, "", "The driver made a box that does not fit: %s has %d bytes.", key, len(value))
		}
		keys = append(keys, key)
	}
	sort.Strings(keys)
	data := make([]byte, 0, 256)
	for _, key := range keys {
		data = appendItem(data, []byte(key))
		data = appendItem(data, b[key])
	}
	return append(data, 0, 0), nil
}

// appendItem appends a field with its length in front.
func appendItem(data, item []byte) []byte {
	data = append(data, byte(len(item)>>8), byte(len(item)))
	return append(data, item...)
}

func integer(value int64) []byte { return strconv.AppendInt(nil, value, 10) }

func unsigned(value uint64) []byte { return strconv.AppendUint(nil, value, 10) }

func boolean(value bool) []byte {
	if value {
		return []byte("True")
	}
	return []byte("False")
}

// page collects the items of one list value. add tells whether the item still
// fitted into the value.
type page struct {
	data  []byte
	count int
}

func (p *page) add(item []byte) bool {
	if len(p.data)+len(item) > maxValue {
		return false
	}
	p.data = append(p.data, item...)
	p.count++
	return true
}

func (p *page) addText(text string) bool { return p.add(appendItem(nil, []byte(text))) }

func (p *page) addBox(b box) bool {
	data, err := b.encode()
	return err == nil && p.add(data)
}

// arguments reads a request's arguments and remembers the first that is wrong,
// so that a command checks err once after it took them all.
type arguments struct {
	box box
	err error
}

func (a *arguments) malformed(key string) {
	if a.err == nil {
		a.err = refuse(codeInternal, "", "The argument %s is missing or malformed.", key)
	}
}

func (a *arguments) has(key string) bool {
	_, ok := a.box[key]
	return ok
}

func (a *arguments) text(key string) string {
	value, ok := a.box[key]
	if !ok || !utf8.Valid(value) {
		a.malformed(key)
	}
	return string(value)
}

func (a *arguments) integer(key string) int64 {
	text := string(a.box[key])
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || text[0] == '+' {
		a.malformed(key)
	}
	return value
}

// identity reads a device or inode number.
func (a *arguments) identity(key string) uint64 {
	value, err := strconv.ParseUint(string(a.box[key]), 10, 64)
	if err != nil {
		a.malformed(key)
	}
	return value
}

// boolean reads a boolean; one that is missing is false.
func (a *arguments) boolean(key string) bool {
	value, ok := a.box[key]
	if !ok {
		return false
	}
	switch string(value) {
	case "True":
		return true
	case "False":
		return false
	}
	a.malformed(key)
	return false
}

func (a *arguments) texts(key string) []string {
	data, ok := a.box[key]
	if !ok {
		a.malformed(key)
		return nil
	}
	texts := []string{}
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			a.malformed(key)
			return nil
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		texts = append(texts, string(data[2:end]))
		data = data[end:]
	}
	return texts
}

// path reads the path of a file, or of a directory that is not the root.
func (a *arguments) path(key string) string {
	path := a.text(key)
	if a.err == nil {
		a.err = checkPath(path)
	}
	return path
}

// place reads a path that may also be the root, and returns the root as the
// empty text: so "below" is a question of the prefix path + "/".
func (a *arguments) place(key string) string {
	if string(a.box[key]) == "/" {
		return ""
	}
	return a.path(key)
}

// limit reads how many items a page may have.
func (a *arguments) limit() int64 {
	if limit := a.integer("limit"); limit > 1 {
		return limit
	}
	return 1
}

func checkPath(path string) error {
	good := len(path) <= maxPath && strings.HasPrefix(path, "/")
	for _, part := range strings.Split(path, "/")[1:] {
		good = good && isName(part)
	}
	if !good {
		return refuse(codeInvalidPath, "", "This is not a path: %.100q.", path)
	}
	return nil
}

var nameForm = regexp.MustCompile(`\A[A-Za-z0-9._-]+\z`)

// isName tells whether a name can be part of a path. Others in the directory
// are the driver's own, or an operator's, and are never shown.
func isName(name string) bool {
	return nameForm.MatchString(name) && name != "." && name != ".."
}

// isBelow tells whether a path is strictly below a directory.
func isBelow(path, directory string) bool {
	return strings.HasPrefix(path, directory+"/")
}
