package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

func copyInputsOf(t *testing.T, source property.Value, remotePath string) values {
	return values{"connection": server(t).connection(nil), "source": source, "remotePath": remotePath}
}

func textAsset(text string) property.Value {
	made, err := asset.FromText(text)
	return assetValue(made, err)
}

func fileAsset(path string) property.Value { return assetValue(asset.FromPath(path)) }

func fileArchive(path string) property.Value { return assetValue(archive.FromPath(path)) }

func assetValue[T property.GoValue](made T, err error) property.Value {
	if err != nil {
		panic(err)
	}
	return property.New(made)
}

func sourceCase(t *testing.T) {
	remote := t.TempDir()
	local := tree(t)
	copied := func(source property.Value, path string) *stack {
		t.Helper()
		s := newStack(t, copyToRemote)
		must(t, s.apply(copyInputsOf(t, source, path).properties()))
		return s
	}
	copied(fileAsset(local+"/other.txt"), remote+"/file")
	equal(t, "file", content(t, remote+"/file"), "other.txt")
	copied(textAsset("some text"), remote+"/text")
	equal(t, "text", content(t, remote+"/text"), "some text")
	copied(fileArchive(local), remote+"/directory")
	equal(t, "file in a directory", content(t, remote+"/directory/assets/logos/logo.svg"), "assets/logos/logo.svg")
	packed := filepath.Join(t.TempDir(), "packed.tar.gz")
	must(t, newStack(t, localCommand).apply(values{"create": "tar -czf " + packed + " -C " + local + " ."}.properties()))
	copied(fileArchive(packed), remote+"/packed.tar.gz")
	equal(t, "archive as it is", content(t, remote+"/packed.tar.gz"), content(t, packed))

	s := newStack(t, copyToRemote)
	url := property.New[property.Asset](&asset.Asset{Sig: asset.AssetSig, URI: "https://example.org/file", Hash: "x"})
	refused(t, s.apply(copyInputsOf(t, url, remote+"/x").properties()), "RemoteAsset", "not supported")
	inMemory := assetValue(archive.FromAssets(map[string]any{"a": textAsset("a").AsAsset()}))
	refused(t, s.apply(copyInputsOf(t, inMemory, remote+"/x").properties()), "AssetArchive", "not supported")
	refused(t, s.apply(copyInputsOf(t, property.New("text"), remote+"/x").properties()), "source", "has to be an asset or an archive")
	gone := t.TempDir() + "/gone"
	must(t, os.WriteFile(gone, nil, 0o600))
	source := fileAsset(gone)
	inputs := copyInputsOf(t, source, remote+"/x").properties()
	must(t, os.Remove(gone))
	refused(t, s.create(inputs), gone, "cannot be read")
}

func remotePathCase(t *testing.T) {
	remote := t.TempDir()
	file := filepath.Join(tree(t), "other.txt")
	copied := func(source property.Value, path string) {
		t.Helper()
		must(t, newStack(t, copyToRemote).apply(copyInputsOf(t, source, path).properties()))
	}
	copied(fileAsset(file), remote+"/new/parents/file")
	equal(t, "new parents", content(t, remote+"/new/parents/file"), "other.txt")
	must(t, os.WriteFile(remote+"/existing", []byte("something longer than before"), 0o640))
	copied(fileAsset(file), remote+"/existing")
	equal(t, "overwritten", content(t, remote+"/existing"), "other.txt")
	copied(fileAsset(file), remote)
	equal(t, "into a directory", content(t, remote+"/other.txt"), "other.txt")
	local := tree(t)
	copied(fileArchive(local), remote)
	equal(t, "directory into a directory", content(t, filepath.Join(remote, filepath.Base(local), "src/index.js")), "src/index.js")

	s := newStack(t, copyToRemote)
	refused(t, s.apply(copyInputsOf(t, textAsset("x"), remote).properties()), "is a directory", "no file name")
	refused(t, s.apply(copyInputsOf(t, fileArchive(local), remote+"/existing").properties()), remote+"/existing", "cannot make the directory")
	refused(t, s.apply(copyInputsOf(t, textAsset("x"), remote+"/existing/below").properties()), "cannot make the directory")
	refused(t, s.apply(copyInputsOf(t, textAsset("x"), remote).with(values{"remotePath": 1}).properties()), "remotePath", "has to be a string")
}

func copyTriggersCase(t *testing.T) {
	path := t.TempDir() + "/file"
	s := newStack(t, copyToRemote)
	inputs := copyInputsOf(t, textAsset("text"), path)
	must(t, s.apply(inputs.with(values{"triggers": []string{"server 1"}}).properties()))
	must(t, os.Remove(path))
	must(t, s.apply(inputs.with(values{"triggers": []string{"server 2"}}).properties()))
	equal(t, "copied again", content(t, path), "text")
}

func TestCopyHappensAgainOnlyWhenContentOrPathChanged(t *testing.T) {
	remote, local := t.TempDir(), tree(t)
	s := newStack(t, copyToRemote)
	apply := func(path string, changes values) {
		t.Helper()
		must(t, s.apply(copyInputsOf(t, fileArchive(local), path).with(changes).properties()))
	}
	apply(remote+"/directory", nil)
	must(t, os.Remove(remote+"/directory/other.txt"))
	apply(remote+"/directory", values{"connection": server(t).connection(values{"perDialTimeout": 14})})
	equal(t, "copied for another connection", exists(remote+"/directory/other.txt"), false)

	must(t, os.WriteFile(local+"/other.txt", []byte("changed"), 0o600))
	apply(remote+"/directory", nil)
	equal(t, "changed content", content(t, remote+"/directory/other.txt"), "changed")
	equal(t, "copied into itself", exists(filepath.Join(remote, "directory", filepath.Base(local))), false)

	apply(remote+"/elsewhere", nil)
	equal(t, "changed path", content(t, remote+"/elsewhere/other.txt"), "changed")
	must(t, s.destroy())
	equal(t, "still there after the end", exists(remote+"/elsewhere/other.txt"), true)
}

func TestCopyDoesNothingInPreview(t *testing.T) {
	path := t.TempDir() + "/file"
	_, err := newStack(t, copyToRemote).preview(copyInputsOf(t, textAsset("text"), path).properties())
	must(t, err)
	equal(t, "copied", exists(path), false)
}
