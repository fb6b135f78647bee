package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sieged() []*http.Server {
	worker := &Worker{outcomes: map[string]int{}, patience: time.Minute}
	worker.note(false)
	model, err := newModel("http://127.0.0.1:1", "the-key", worker.isBusy)
	if err != nil {
		panic(err)
	}
	numbers := newServer(worker)
	numbers.ReadTimeout, numbers.WriteTimeout = headWithin, 2*headWithin
	return []*http.Server{numbers, newServer(model)}
}

func TestTenThousandStrangersKeepNoCollectorOut(t *testing.T) {
	besiege(t, 64, []stranger{
		{0, saying("GET /metrics HT")},
		{0, without("GET /metrics HTTP/1.1\r\nHost: x\r\nA: ", 2_000_000)},
		{0, without("POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 1_999_999)},
		{1, without("POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", 1_999_999)},
	}, func(client *http.Client, ports []string) error {
		for _, path := range []string{"/health", "/metrics"} {
			answer, err := client.Get("http://" + ports[0] + path)
			if err != nil {
				return err
			}
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("%s: %s", path, answer.Status)
			}
		}
		return nil
	})
}

// newCheckout is a directory as Git leaves it, and a tool that runs `script` in what it is sent of it.
func newCheckout(t *testing.T, script string, patience time.Duration) (directory, socket string) {
	directory = t.TempDir()
	for name, text := range map[string]string{
		".git/config": "[core]\n", ".github/workflows/ci.yml": "on: push\n", "a.txt": "hello wrold\n", "deep/b.txt": "b\n", "run.sh": "#!/bin/sh\n",
	} {
		write(t, filepath.Join(directory, name), text)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(directory, "passwd")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(".git", filepath.Join(directory, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(directory, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	write(t, filepath.Join(other, "tool"), "#!/bin/sh\n"+script)
	socket = filepath.Join(other, "socket")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	go serveEdits(ctx, listener, filepath.Join(other, "tool"), patience)
	return directory, socket
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestTheToolSeesThePlainFilesAndItsChangesComeBack(t *testing.T) {
	checkout, socket := newCheckout(t, `cat >../instructions; sed -i s/wrold/world/ a.txt; mkdir new; echo n >new/n; echo "#" >>run.sh
		find . -not -type d | sort | tr '\n' ' '; cat ../instructions`, time.Minute)
	said, err := edit(socket, checkout, strings.NewReader("what to do"))
	if err != nil || said != "./.github/workflows/ci.yml ./a.txt ./deep/b.txt ./new/n ./run.sh what to do" {
		t.Fatalf("%v %q", err, said)
	}
	for name, wanted := range map[string]string{"a.txt": "hello world\n", "new/n": "n\n", "run.sh": "#!/bin/sh\n#\n", ".git/config": "[core]\n"} {
		if text, _ := os.ReadFile(filepath.Join(checkout, name)); string(text) != wanted {
			t.Errorf("%s: %q", name, text)
		}
	}
	if there, _ := os.Stat(filepath.Join(checkout, "run.sh")); there.Mode()&0o100 == 0 {
		t.Error("run.sh lost its mode")
	}
	if second, err := edit(socket, checkout, strings.NewReader("again")); err != nil || !strings.HasSuffix(second, "again") {
		t.Errorf("the second job: %v %q", err, second)
	}
}

func TestNothingComesBackByWhichProgramsAreRun(t *testing.T) {
	for _, script := range []string{
		`mkdir -p x/.GIT/hooks; echo x >x/.GIT/hooks/pre-commit`, `echo '* filter=x' >.gitattributes`, `echo '* filter=x' >deep/.gitattributes`,
		`echo x >.gitmodules`, `echo 'on: [push]' >.github/workflows/ci.yml`, `mkdir -p .GitHub; echo x >.GitHub/x`, `mkdir link; echo x >link/config`, `echo x >passwd`,
		`exit 3`,
	} {
		checkout, socket := newCheckout(t, script, time.Minute)
		if said, err := edit(socket, checkout, strings.NewReader("")); err == nil {
			t.Errorf("%s: %q", script, said)
		}
		for name, wanted := range map[string]string{".git/config": "[core]\n", ".github/workflows/ci.yml": "on: push\n"} {
			if text, _ := os.ReadFile(filepath.Join(checkout, name)); string(text) != wanted {
				t.Errorf("%s: %s: %q", script, name, text)
			}
		}
	}
}

func TestADirectoryOfGitsOwnStaysWithTheTool(t *testing.T) {
	checkout, socket := newCheckout(t, `mkdir -p .git x/.git; printf '[core]\nfsmonitor = touch ran\n' | tee .git/config >x/.git/config; echo y >y`, time.Minute)
	if _, err := edit(socket, checkout, strings.NewReader("")); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(filepath.Join(checkout, ".git/config")); string(text) != "[core]\n" {
		t.Errorf("%q", text)
	}
	if _, err := os.Stat(filepath.Join(checkout, "x")); err == nil {
		t.Error("x/.git came back")
	}
}

func TestAToolThatHangsIsEndedWithWhatItStarted(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "mark")
	checkout, socket := newCheckout(t, "(sleep 3; touch "+mark+") & sleep 60", time.Second)
	if said, err := edit(socket, checkout, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("%v %q", err, said)
	}
	time.Sleep(3 * time.Second)
	if _, err := os.Stat(mark); err == nil {
		t.Error("its child lived on")
	}
}

func TestTheKeyIsAddedForAConversationWhileAJobIsInHandAndForNothingElse(t *testing.T) {
	var asked []string
	provider := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		asked = append(asked, request.Method+" "+request.URL.String()+" "+request.Header.Get("X-Api-Key")+request.Header.Get("Authorization"))
	}))
	defer provider.Close()
	busy := false
	model, err := newModel(provider.URL, "the-key", func() bool { return busy })
	if err != nil {
		t.Fatal(err)
	}
	status := func(method, path string) int {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(method, path, strings.NewReader("{}"))
		request.Header.Set("Authorization", "Bearer other")
		request.Header.Set("X-Api-Key", "added-by-the-worker")
		model.ServeHTTP(recorder, request)
		return recorder.Code
	}
	if idle := status("POST", "/v1/messages"); idle != http.StatusForbidden {
		t.Error(idle)
	}
	busy = true
	for _, path := range []string{"/v1/files", "/v1/organizations/api_keys", "/v1/messages/../files", "/v1/messages%2f..%2ffiles", "/v1/messages/batches"} {
		if got := status("POST", path); got == http.StatusOK {
			t.Errorf("%s: %d", path, got)
		}
	}
	if got := status("POST", "/v1/messages?beta=true"); got != http.StatusOK || len(asked) != 1 || asked[0] != "POST /v1/messages?beta=true the-key" {
		t.Error(got, asked)
	}
}

func TestNoTokenFollowsARedirect(t *testing.T) {
	worker, _ := newBench(t, "")
	var elsewhere bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere = true }))
	defer other.Close()
	pointing := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer pointing.Close()
	worker.jobs = pointing.URL
	if _, found, err := worker.next(context.Background()); err == nil || found || elsewhere {
		t.Error(err, found, elsewhere)
	}
}

func TestPartsAreUsersAndNeitherIsRoot(t *testing.T) {
	for _, text := range []string{"", "0:0", "1000", "1000:0", "0:1000", "-1:1", "a:b", "1000:1000:1"} {
		if _, _, err := userOf(text); err == nil {
			t.Errorf("%q", text)
		}
	}
}

// FuzzUnpack gives archives of every form to a checkout: nothing of Git's changes and nothing lands outside.
func FuzzUnpack(f *testing.F) {
	for _, name := range []string{"a.txt", "../outside", "/etc/x", ".git/config", "a/../.git/config", "link/config", "./a", "passwd", "a\\b", ".GIT/config", "x/.github/y"} {
		var text bytes.Buffer
		archive := tar.NewWriter(&text)
		_ = archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 2, Mode: 0o777})
		_, _ = archive.Write([]byte("xy"))
		_ = archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: ".git"})
		_ = archive.Close()
		f.Add(text.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		outside, err := os.MkdirTemp("", "fuzz")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(outside)
		checkout := filepath.Join(outside, "checkout")
		write(t, filepath.Join(checkout, ".git/config"), "[core]\n")
		_ = os.Symlink(".git", filepath.Join(checkout, "link"))
		_ = unpack(bytes.NewReader(text), checkout, mayChange)
		config, _ := os.ReadFile(filepath.Join(checkout, ".git/config"))
		around, _ := os.ReadDir(outside)
		within, _ := os.ReadDir(filepath.Join(checkout, ".git"))
		if string(config) != "[core]\n" || len(around) != 1 || len(within) != 1 {
			t.Fatalf("%q %v %v", config, around, within)
		}
		entries, _ := os.ReadDir(checkout)
		for _, entry := range entries {
			if entry.Type()&os.ModeSymlink != 0 && entry.Name() != "link" {
				t.Fatalf("the link %s was made", entry.Name())
			}
		}
	})
}
