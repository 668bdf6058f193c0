// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
)

// The codes of section 4 of the document that this driver sends.
const (
	codeMissing       = "Missing"
	codeExists        = "Exists"
	codeChanged       = "Changed"
	codeWrongOffset   = "WrongOffset"
	codeInvalidOffset = "InvalidOffset"
	codeInvalidPath   = "InvalidPath"
	codeFenced        = "Fenced"
	codeClosed        = "Closed"
	codeMismatch      = "Mismatch"
	codeTooLarge      = "TooLarge"
	codeNoSpace       = "NoSpace"
	codeReadOnly      = "ReadOnly"
	codeDenied        = "Denied"
	codeUnavailable   = "Unavailable"
	codeCorrupt       = "Corrupt"
	codeUnsupported   = "Unsupported"
	codeBadOptions    = "BadOptions"
	codeInternal      = "Internal"
	codeUnhandled     = "UNHANDLED"
)

// refusal is the error that travels to the registry.
type refusal struct {
	code    string
	message string
	path    string
	actual  *int64 // with WrongOffset only
}

func refuse(code, path, format string, arguments ...interface{}) *refusal {
	return &refusal{code: code, path: path, message: fmt.Sprintf(format, arguments...)}
}

func wrongOffset(path string, asked, actual int64) *refusal {
	r := refuse(codeWrongOffset, path, "The writer starts at %d, but %d bytes are stored.", asked, actual)
	r.actual = &actual
	return r
}

func missing(path string) *refusal {
	return refuse(codeMissing, path, "Nothing of that kind is there.")
}

func (r *refusal) Error() string {
	return r.code + ": " + r.message
}

// description is the value of _error_description.
func (r *refusal) description() []byte {
	members := map[string]interface{}{"message": r.message}
	if r.path != "" {
		members["path"] = r.path
	}
	if r.actual != nil {
		members["actual"] = *r.actual
	}
	text, err := json.Marshal(members)
	if err != nil {
		return []byte(r.message)
	}
	return text
}

// asRefusal declares any error: a refusal as it is, an error of the operating
// system by its number, everything else as a fault of the driver.
func asRefusal(err error, path string) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return refuse(codeOf(err), path, "%v.", err)
}

func codeOf(err error) string {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return codeInternal
	}
	switch number {
	case syscall.ENOENT:
		return codeMissing
	case syscall.ENOTDIR, syscall.EISDIR, syscall.ENOTEMPTY, syscall.ENAMETOOLONG, syscall.ELOOP:
		return codeInvalidPath
	case syscall.ENOSPC, syscall.EDQUOT:
		return codeNoSpace
	case syscall.EFBIG:
		return codeTooLarge
	case syscall.EIO:
		return codeCorrupt
	case syscall.EXDEV:
		return codeUnsupported
	case syscall.EROFS:
		return codeReadOnly
	case syscall.EACCES, syscall.EPERM:
		return codeDenied
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ESTALE, syscall.ETIMEDOUT:
		return codeUnavailable
	}
	return codeInternal
}

// isMissing tells whether a path could not be read because nothing is there:
// also when it runs through a file, or has a name that no file can have.
func isMissing(err error) bool {
	return errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) ||
		errors.Is(err, syscall.ENAMETOOLONG)
}
