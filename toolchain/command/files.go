package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/gobwas/glob"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/archive"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// withFiles adds the files that assetPaths and archivePaths find below the command's directory.
func withFiles(state property.Map, secret bool) (property.Map, error) {
	directory := textOf(state.Get("dir"))
	if globs, wanted := state.GetOk("assetPaths"); wanted {
		found, err := findFiles(directory, stringsOf(globs))
		if err != nil {
			return property.Map{}, err
		}
		assets := map[string]property.Value{}
		for path, file := range found {
			assets[path] = property.New(file)
		}
		state = state.Set("assets", property.New(assets).WithSecret(secret))
	}
	if globs, wanted := state.GetOk("archivePaths"); wanted {
		found, err := findFiles(directory, stringsOf(globs))
		if err != nil {
			return property.Map{}, err
		}
		contents := map[string]any{}
		for path, file := range found {
			contents[path] = file
		}
		packed, err := archive.FromAssets(contents)
		if err != nil {
			return property.Map{}, err
		}
		state = state.Set("archive", property.New(packed).WithSecret(secret))
	}
	return state, nil
}

func findFiles(directory string, patterns []string) (map[string]*asset.Asset, error) {
	globs, err := compileGlobs(patterns)
	if err != nil {
		return nil, err
	}
	if directory == "" {
		directory = "."
	}
	found := map[string]*asset.Asset{}
	err = filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(directory, path)
		if err != nil || !globs.match(relative) {
			return err
		}
		found[relative], err = asset.FromPath(path)
		return err
	})
	return found, err
}

type globs []struct {
	pattern glob.Glob
	exclude bool
}

func compileGlobs(patterns []string) (globs, error) {
	var compiled globs
	for _, text := range patterns {
		text, exclude := strings.CutPrefix(text, "!")
		pattern, err := glob.Compile(text, '/')
		if err != nil {
			return nil, fmt.Errorf("%q is no glob (%w), so it finds no files; for example: src/**.js", text, err)
		}
		compiled = append(compiled, struct {
			pattern glob.Glob
			exclude bool
		}{pattern, exclude})
	}
	return compiled, nil
}

// match lets the last pattern that fits decide.
func (g globs) match(path string) bool {
	matched := false
	for _, glob := range g {
		if glob.pattern.Match(path) {
			matched = !glob.exclude
		}
	}
	return matched
}
