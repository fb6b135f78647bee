// Package beside reads the files that the build wrote next to a plugin: generated, hence neither committed nor embedded.
package beside

import (
	"fmt"
	"os"
	"path/filepath"
)

// Executable reads the file of that name from the directory of the running executable.
func Executable(name string) []byte {
	executable, err := os.Executable()
	if err == nil {
		var content []byte
		if content, err = os.ReadFile(filepath.Join(filepath.Dir(executable), name)); err == nil {
			return content
		}
	}
	fmt.Fprintf(os.Stderr, "The plugin cannot start without its %s: %v\nBuild the toolchain anew: python3 -m toolchain\n", name, err)
	os.Exit(1)
	return nil
}
