package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	mostFiles     = 20_000
	largestTree   = 128 << 20
	longestOrders = 1 << 20
)

// Task is the first line that the tool is sent, before the files; Result the first that it answers, before the files.
type (
	Task   struct{ Instructions string }
	Result struct{ Said, Failed string }
)

// never are the names of files that a change by the tool may not touch: by them Git, or a runner with secrets, runs programs.
var never = []string{".git", ".gitattributes", ".gitmodules", ".github"}

// serveEdits is the tool's part: for each caller one run of the program over the files that the caller sends, and no others.
func serveEdits(ctx context.Context, listener net.Listener, program string, patience time.Duration) error {
	go func() {
		<-ctx.Done()
		_ = listener.Close()
	}()
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		home, err := os.MkdirTemp("", "edit-")
		if err != nil {
			return err
		}
		tree := filepath.Join(home, "checkout")
		result := editOnce(ctx, connection, program, tree, patience)
		writer := bufio.NewWriter(connection)
		_ = json.NewEncoder(writer).Encode(result)
		if result.Failed == "" {
			_ = pack(writer, tree)
		}
		_ = writer.Flush()
		_ = connection.Close()
		_ = os.RemoveAll(home)
	}
}

func editOnce(ctx context.Context, connection net.Conn, program, tree string, patience time.Duration) Result {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var task Task
	files, err := header(connection, &task)
	if err == nil {
		err = os.Mkdir(tree, 0o700)
	}
	if err == nil {
		err = unpack(files, tree, func(string) error { return nil })
	}
	if err != nil {
		return Result{Failed: err.Error()}
	}
	go func() {
		// Who asked has left: nobody waits for the answer.
		_, _ = io.Copy(io.Discard, files)
		cancel()
	}()
	home := filepath.Dir(tree)
	var said, errorOutput bytes.Buffer
	command := exec.CommandContext(ctx, program)
	command.Dir, command.Stdin, command.Stdout, command.Stderr = tree, strings.NewReader(task.Instructions), &said, &errorOutput
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "LANG=C.UTF-8"}
	// With all that it has started.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = 5 * time.Second
	if err := command.Run(); err != nil {
		return Result{Failed: fmt.Sprintf("%s: %v: %s", program, err, last(errorOutput.String()))}
	}
	return Result{Said: first(strings.TrimSpace(said.String()))}
}

// edit lets the tool at the files of a checkout, Git's own excepted, and takes over what it changed.
func edit(socket, checkout string, instructions io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(instructions, longestOrders))
	if err != nil {
		return "", err
	}
	connection, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return "", err
	}
	defer connection.Close()
	writer := bufio.NewWriter(connection)
	err = json.NewEncoder(writer).Encode(Task{Instructions: string(text)})
	err = errors.Join(err, pack(writer, checkout), writer.Flush())
	if err != nil {
		return "", err
	}
	var result Result
	files, err := header(connection, &result)
	if err != nil {
		return "", fmt.Errorf("the tool's answer: %w", err)
	}
	if result.Failed != "" {
		return "", errors.New(result.Failed)
	}
	return result.Said, unpack(files, checkout, mayChange)
}

func mayChange(name string) error {
	for _, part := range strings.Split(name, "/") {
		if slices.Contains(never, strings.ToLower(part)) {
			return fmt.Errorf("the tool changed %s, by which programs are run", name)
		}
	}
	return nil
}

func header(from io.Reader, into any) (io.Reader, error) {
	reader := bufio.NewReader(io.LimitReader(from, largestTree))
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	return reader, json.Unmarshal(line, into)
}

// pack writes the plain files below a directory: no links, and nothing of Git's.
func pack(writer io.Writer, directory string) error {
	archive := tar.NewWriter(writer)
	root, err := os.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := fs.ReadFile(root.FS(), name)
		if err != nil {
			return err
		}
		head := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600}
		if err := archive.WriteHeader(head); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	return errors.Join(err, archive.Close())
}

// unpack writes files below a directory. Each that changes one, or is new, is asked for first; none is written through a link.
func unpack(reader io.Reader, directory string, may func(name string) error) error {
	root, err := os.OpenRoot(directory)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := tar.NewReader(reader)
	room := int64(largestTree)
	for range mostFiles {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := head.Name
		if head.Typeflag != tar.TypeReg || !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsAny(name, "\x00\\") {
			return fmt.Errorf("%q is no plain file of the checkout", name)
		}
		// A file with holes is far larger than its archive.
		if room -= head.Size; room < 0 {
			return fmt.Errorf("more than %d MiB", largestTree>>20)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		for part := range ancestors(name) {
			if there, err := root.Lstat(part); err == nil && there.Mode()&fs.ModeSymlink != 0 {
				return fmt.Errorf("%s would be written through the link %s", name, part)
			}
		}
		there, err := root.ReadFile(name)
		if err == nil && bytes.Equal(there, content) {
			continue
		}
		if err := may(name); err != nil {
			return err
		}
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return fmt.Errorf("more than %d files", mostFiles)
}

// ancestors are a/, a/b and a/b/c of a/b/c.
func ancestors(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for index, letter := range name + "/" {
			if letter == '/' && !yield(name[:index]) {
				return
			}
		}
	}
}
