// SPDX-License-Identifier: Apache-2.0

// Command godriver is a storage driver for the registry: it keeps everything
// in a directory of a local file system. It is written from the driver
// protocol's document (docs/drivers/wire-protocol.md) alone, with Go's standard
// library, and can serve as a starting point for other drivers.
//
// The registry starts it with the listening socket as descriptor 3 and the
// options as descriptor 4. It also runs on its own:
//
//	godriver --socket /run/driver.sock --options /etc/driver.json
//
// Its one option is "directory", the absolute path of the storage.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	listenDescriptor  = 3
	optionsDescriptor = 4
	// lockPatience is how long a driver waits for its predecessor on the same
	// directory; less than the registry's patience with a silent driver.
	lockPatience = 5 * time.Second
	// drainPatience bounds the ending; the document allows 20 seconds.
	drainPatience = 15 * time.Second
)

func main() {
	log.SetFlags(0)
	socket := flag.String("socket", "", "listen at `PATH` instead of being started by the registry")
	optionsFile := flag.String("options", "", "read the options from `FILE` (with --socket)")
	flag.Parse()
	if flag.NArg() > 0 || (*optionsFile != "" && *socket == "") {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*socket, *optionsFile); err != nil {
		log.Fatalf("godriver: %v", err)
	}
}

func run(socket, optionsFile string) error {
	signal.Ignore(syscall.SIGPIPE) // the log's reader may be gone before us
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM, syscall.SIGINT)
	abandoned := make(chan struct{})

	var listener *net.UnixListener
	var options []byte
	var err error
	if socket != "" {
		options, err = readOptionsFile(optionsFile)
		if err == nil {
			listener, err = listenAt(socket)
		}
	} else {
		go func() { // nobody writes to descriptor 0: its end is the registry's
			_, _ = io.Copy(io.Discard, os.Stdin)
			close(abandoned)
		}()
		options, err = readOptionsDescriptor()
		if err == nil {
			listener, err = inheritedListener()
		}
	}
	if err != nil {
		return err
	}

	d := newDriver()
	d.store, d.fault = configure(options)
	if d.fault != nil {
		log.Printf("godriver: %v", d.fault)
	}
	go d.accept(listener)

	select {
	case sig := <-terminated:
		log.Printf("godriver: %v: ending", sig)
	case <-abandoned:
		log.Print("godriver: the registry is gone: ending")
	}
	_ = listener.Close()
	if !d.drain(drainPatience) {
		return errors.New("something is still being carried out: ending all the same")
	}
	return nil
}

// inheritedListener takes the listening socket that the registry made. It
// stays the registry's: it is closed at the end, never removed.
func inheritedListener() (*net.UnixListener, error) {
	file := os.NewFile(listenDescriptor, "listening socket")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is no listening socket (use --socket?): %w", listenDescriptor, err)
	}
	unix, ok := listener.(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("descriptor %d is no UNIX socket", listenDescriptor)
	}
	unix.SetUnlinkOnClose(false)
	return unix, nil
}

// listenAt listens at a path. A socket that a dead driver left is replaced.
func listenAt(path string) (*net.UnixListener, error) {
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("somebody listens at %s already", path)
	} else if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(path)
	}
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}

func readOptionsFile(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	return os.ReadFile(path)
}

func readOptionsDescriptor() ([]byte, error) {
	number := optionsDescriptor
	if text := os.Getenv("TXREGISTRY_OPTIONS_FD"); text != "" {
		var err error
		if number, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("TXREGISTRY_OPTIONS_FD: %w", err)
		}
	}
	file := os.NewFile(uintptr(number), "options")
	defer file.Close()
	return io.ReadAll(file)
}

// configure reads the options and opens the storage. Whatever is wrong with
// them is a BadOptions refusal, which every Hello gets.
func configure(options []byte) (*store, *refusal) {
	bad := func(format string, arguments ...interface{}) (*store, *refusal) {
		return nil, refuse(codeBadOptions, "", format, arguments...)
	}
	members := map[string]json.RawMessage{}
	if strings.TrimSpace(string(options)) != "" {
		if err := json.Unmarshal(options, &members); err != nil {
			return bad("The options are no JSON object: %v.", err)
		}
	}
	var directory string
	for name, value := range members {
		if name != "directory" {
			return bad("The option %q is unknown; there is only \"directory\".", name)
		}
		if err := json.Unmarshal(value, &directory); err != nil {
			return bad("The option \"directory\" must be a text.")
		}
	}
	if !filepath.IsAbs(directory) {
		return bad("The option \"directory\" must be the absolute path of a directory.")
	}
	s, err := openStore(filepath.Clean(directory))
	if err != nil {
		return bad("The directory %s can't be used: %v.", directory, err)
	}
	return s, nil
}
