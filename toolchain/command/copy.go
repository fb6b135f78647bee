package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// copiedTo is kept in the state beside the outputs that the SDK knows: where the source went. A directory that was copied to a new
// path must go to the same place the next time, and not into itself.
const copiedTo = "copiedTo"

// remoteCopy is a resource that copies a source to a host. It never deletes what it copied.
type remoteCopy struct{}

func (remoteCopy) preview(inputs, previous property.Map) property.Map { return inputs }

func (remoteCopy) create(ctx context.Context, inputs property.Map) (property.Map, error) {
	return copySource(ctx, inputs, "")
}

// update copies again only what changed: a new connection alone is no reason, a new server is one for `triggers`.
func (remoteCopy) update(ctx context.Context, inputs, previous property.Map) (property.Map, error) {
	samePath := sameValue(inputs.Get("remotePath"), previous.Get("remotePath"))
	if samePath && sameValue(inputs.Get("source"), previous.Get("source")) {
		return inputs.Set(copiedTo, previous.Get(copiedTo)), nil
	}
	return copySource(ctx, inputs, either(samePath, textOf(previous.Get(copiedTo)), ""))
}

func (remoteCopy) delete(context.Context, property.Map) error { return nil }

// copySource copies to where the source went before, else to where remotePath says.
func copySource(ctx context.Context, inputs property.Map, before string) (property.Map, error) {
	hide := newRedactor(inputs)
	target, err := upload(ctx, inputs, before)
	if err != nil {
		return property.Map{}, errors.New(hide.in(fmt.Sprintf("the copy to %s failed: %s", textOf(inputs.Get("remotePath")), err)))
	}
	return inputs.Set(copiedTo, property.New(target)), nil
}

func upload(ctx context.Context, inputs property.Map, before string) (target string, err error) {
	connection, err := connect(ctx, inputs.Get("connection").AsMap())
	if err != nil {
		return "", err
	}
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { _ = connection.Close() })
	defer stop()
	defer func() {
		if ctx.Err() != nil {
			err = cancelled(ctx)
		}
	}()
	remote, err := sftp.NewClient(connection.Client)
	if err != nil {
		return "", fmt.Errorf("the host has no SFTP (%w); let its sshd_config have: Subsystem sftp internal-sftp", err)
	}
	defer remote.Close()
	source := inputs.Get("source")
	target = before
	if target == "" {
		if target, err = placeFor(remote, source, textOf(inputs.Get("remotePath"))); err != nil {
			return "", err
		}
	}
	if source.IsAsset() && source.AsAsset().IsText() {
		return target, uploadContent(remote, strings.NewReader(source.AsAsset().Text), target)
	}
	return target, uploadPath(remote, pathOf(source), target)
}

// placeFor does as cp does: into a directory that is there, else to that very path.
func placeFor(remote *sftp.Client, source property.Value, remotePath string) (string, error) {
	info, err := remote.Stat(remotePath)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cannot look at %s on the host: %w", remotePath, err)
	}
	isDirectory := err == nil && info.IsDir()
	switch {
	case isDirectory && pathOf(source) == "":
		return "", fmt.Errorf("it is a directory on the host, and text has no file name of its own; add one, for example: %s", path.Join(remotePath, "notes.txt"))
	case isDirectory:
		absolute, err := filepath.Abs(pathOf(source))
		return path.Join(remotePath, filepath.Base(absolute)), err
	case strings.HasSuffix(remotePath, "/") && pathOf(source) != "" && !isLocalDirectory(pathOf(source)):
		return path.Join(remotePath, filepath.Base(pathOf(source))), nil
	}
	return remotePath, nil
}

func isLocalDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// uploadPath copies a file, or a directory with all that is in it; links are followed.
func uploadPath(remote *sftp.Client, local, target string) error {
	info, err := os.Stat(local)
	if err != nil {
		return fmt.Errorf("the source cannot be read: %w", err)
	}
	if !info.IsDir() {
		file, err := os.Open(local)
		if err != nil {
			return fmt.Errorf("the source cannot be read: %w", err)
		}
		defer file.Close()
		return uploadContent(remote, file, target)
	}
	if err := makeDirectory(remote, target); err != nil {
		return err
	}
	entries, err := os.ReadDir(local)
	if err != nil {
		return fmt.Errorf("the source cannot be read: %w", err)
	}
	for _, entry := range entries {
		if err := uploadPath(remote, filepath.Join(local, entry.Name()), path.Join(target, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

func uploadContent(remote *sftp.Client, content io.Reader, target string) (err error) {
	if err := makeDirectory(remote, path.Dir(target)); err != nil {
		return err
	}
	file, err := remote.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("the host cannot write %s: %w; the user of the connection needs the right to write there", target, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.ReadFrom(content); err != nil {
		return fmt.Errorf("%s is incomplete on the host: %w; it may have no space left", target, err)
	}
	return nil
}

func makeDirectory(remote *sftp.Client, directory string) error {
	if err := remote.MkdirAll(directory); err != nil {
		return fmt.Errorf("the host cannot make the directory %s: %w; is there a file of that name, or no right to write?", directory, err)
	}
	return nil
}

func pathOf(source property.Value) string {
	if source.IsArchive() {
		return source.AsArchive().Path
	}
	return source.AsAsset().Path
}

func checkSource(source property.Value) error {
	isURL := source.IsAsset() && source.AsAsset().IsURI() || source.IsArchive() && source.AsArchive().IsURI()
	switch {
	case isURL:
		return errors.New("source is a RemoteAsset or RemoteArchive, which is not supported, so nothing would be copied; " +
			`download it first and pass the file, for example: pulumi.FileAsset("downloaded.tar.gz")`)
	case source.IsArchive() && source.AsArchive().IsAssets():
		return errors.New("source is an AssetArchive, which is not supported, so nothing would be copied; " +
			`put the files into a directory and pass that, for example: pulumi.FileArchive("./files")`)
	}
	return nil
}
