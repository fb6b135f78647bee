package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

const (
	mebibyte    = 1 << 20
	labelPrefix = "vpai.sandbox"
	// The volume through which sandboxes see their workspaces: a directory that root alone may replace. Docker resolves a path
	// below a volume without leaving it, whatever symbolic links are in the way. The volume's own directory is a bind, which
	// follows them: were it one that OpenClaw may rename, it could become any that the sandboxes' Docker sees.
	data = "vpai-workspaces"
	// Of each directory in memory; their sum counts as the sandbox's memory.
	sizeOfTmpfs = "size=64m"
)

// Policy is what a sandbox may be.
type Policy struct {
	// Image is made from Archive, a tar of its files, when the proxy starts: no registry is asked.
	Image      string    `json:"image"`
	Archive    string    `json:"archive"`
	NamePrefix string    `json:"name_prefix"`
	Networks   []Network `json:"networks"`
	// Workspaces is a directory that root alone may replace; sandboxes mount the directories in it.
	Workspaces   string  `json:"workspaces"`
	AtMost       int     `json:"at_most"`
	MaxMemoryMiB int64   `json:"max_memory_mib"`
	MaxCPUs      float64 `json:"max_cpus"`
	MaxPids      int64   `json:"max_pids"`
	User         string  `json:"user"`
}

// Network is one that sandboxes join: it leads to the host's network of the same name, by Bridge, about which the packet
// filter knows where it leads (images/sandboxes/docker.sh). In a Closed one our own resolver answers (names.go).
type Network struct {
	Name    string `json:"name"`
	Bridge  string `json:"bridge"`
	Range   string `json:"range"`
	Gateway string `json:"gateway"`
	Closed  bool   `json:"closed"`
}

func (policy Policy) networks() []string {
	names := make([]string, 0, len(policy.Networks))
	for _, network := range policy.Networks {
		names = append(names, network.Name)
	}
	return names
}

func readPolicy(file string) (Policy, error) {
	var policy Policy
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &policy)
	}
	if err != nil {
		return policy, fmt.Errorf("%s: %w", file, err)
	}
	complete := policy.Image != "" && policy.Archive != "" && policy.NamePrefix != "" && len(policy.Networks) > 0 && policy.AtMost > 0 &&
		policy.MaxMemoryMiB > 0 && policy.MaxCPUs > 0 && policy.MaxPids > 0 && policy.User != ""
	if !complete {
		return policy, fmt.Errorf("%s: every limit must be set; an empty one would allow everything", file)
	}
	if path.Clean(policy.Workspaces) != policy.Workspaces || len(policy.Workspaces) < 2 || !path.IsAbs(policy.Workspaces) {
		return policy, fmt.Errorf("%s: workspaces must be a directory, e.g. /opt/x/data/workspaces", file)
	}
	return policy, nil
}

// Refusal is why something is not done, as the client reads it.
type Refusal string

func (refusal Refusal) Error() string { return string(refusal) }

func refuse(format string, values ...any) error { return Refusal(fmt.Sprintf(format, values...)) }

type object = map[string]any

// container checks the body of a create request and writes it anew: what nobody looked at never reaches Docker.
func (policy Policy) container(body object) (object, error) {
	made, host := object{}, object{
		// What a sandbox writes is in memory or in its workspace: a root that it could write has no limit but the disk's.
		"ReadonlyRootfs": true,
		"CapDrop":        []string{"ALL"},
		"SecurityOpt":    []string{"no-new-privileges:true"},
		"PidsLimit":      policy.MaxPids,
		"NanoCpus":       int64(policy.MaxCPUs * 1e9),
		"LogConfig":      object{"Type": "json-file", "Config": object{"max-size": "10m", "max-file": "1"}},
		// Where all of them together have no memory left, one of them ends and not their Docker.
		"OomScoreAdj": 500,
	}
	err := each(body, "", map[string]func(any) error{
		"Image":        func(value any) error { return oneOf(made, "Image", value, []string{policy.Image}) },
		"User":         func(value any) error { return oneOf(made, "User", value, []string{policy.User}) },
		"Labels":       func(value any) error { return labels(made, value) },
		"HostConfig":   func(value any) error { return policy.host(host, value) },
		"Cmd":          keep(made, "Cmd"),
		"Entrypoint":   keep(made, "Entrypoint"),
		"Env":          keep(made, "Env"),
		"WorkingDir":   keep(made, "WorkingDir"),
		"Tty":          keep(made, "Tty"),
		"OpenStdin":    keep(made, "OpenStdin"),
		"StdinOnce":    keep(made, "StdinOnce"),
		"AttachStdin":  keep(made, "AttachStdin"),
		"AttachStdout": keep(made, "AttachStdout"),
		"AttachStderr": keep(made, "AttachStderr"),
		// The network itself is in HostConfig.NetworkMode; addresses and aliases could play another service.
		"NetworkingConfig": func(value any) error { return onlyNames(value) },
	})
	if err != nil {
		return nil, err
	}
	switch {
	case made["Image"] == nil:
		return nil, refuse("no image; allowed: %s", policy.Image)
	case host["Memory"] == nil:
		return nil, refuse("no memory limit; give --memory, at most %dm", policy.MaxMemoryMiB)
	case host["NetworkMode"] == nil:
		return nil, refuse("no network; give --network none or one of %s", strings.Join(policy.networks(), ", "))
	}
	// The host's names are asked for by network: a service that is on several has there the address that the sandbox reaches.
	host["DnsSearch"], host["DnsOptions"] = []any{host["NetworkMode"]}, []string{"ndots:1"}
	for _, network := range policy.Networks {
		if network.Closed && network.Name == host["NetworkMode"] {
			host["Dns"] = []string{network.Gateway}
		}
	}
	made["User"], made["HostConfig"] = policy.User, host
	marks, _ := made["Labels"].(object)
	if marks == nil {
		marks = object{}
	}
	marks[labelPrefix] = "1"
	made["Labels"] = marks
	return made, nil
}

func (policy Policy) host(made object, value any) error {
	given, ok := value.(object)
	if !ok {
		return refuse("HostConfig is no object")
	}
	return each(given, "HostConfig.", map[string]func(any) error{
		"Binds": func(value any) error { return policy.binds(made, value) },
		"NetworkMode": func(value any) error {
			return oneOf(made, "NetworkMode", value, append([]string{"none"}, policy.networks()...))
		},
		"Memory": func(value any) error {
			bytes, ok := value.(float64)
			if !ok || bytes < 6*mebibyte || bytes > float64(policy.MaxMemoryMiB*mebibyte) {
				return refuse("memory must be between 6m and %dm", policy.MaxMemoryMiB)
			}
			// No swap on top, whatever was asked for.
			made["Memory"], made["MemorySwap"] = int64(bytes), int64(bytes)
			return nil
		},
		"MemorySwap":       func(any) error { return nil },
		"MemorySwappiness": func(any) error { return nil },
		"NanoCpus":         atMost(made, "NanoCpus", policy.MaxCPUs*1e9, "CPUs"),
		"PidsLimit":        atMost(made, "PidsLimit", float64(policy.MaxPids), "processes"),
		"SecurityOpt":      among("security option", "no-new-privileges", "no-new-privileges:true"),
		"IpcMode":          among("IPC namespace", "private"),
		"CgroupnsMode":     among("control group namespace", "private"),
		"CapDrop":          func(any) error { return nil },
		"RestartPolicy":    restart,
		"LogConfig":        func(value any) error { return onlyNames(object{"LogConfig": value}) },
		"Tmpfs":            func(value any) error { return tmpfs(made, value) },
		"ReadonlyRootfs":   func(any) error { return nil },
		"Init":             keep(made, "Init"),
		"AutoRemove":       keep(made, "AutoRemove"),
		// Fewer of Docker's own protections; they come back by being left out.
		"MaskedPaths":   func(any) error { return nil },
		"ReadonlyPaths": func(any) error { return nil },
	})
}

// binds become mounts of paths below the volume of workspaces.
func (policy Policy) binds(made object, value any) error {
	list, ok := value.([]any)
	if !ok {
		return refuse("HostConfig.Binds is no list")
	}
	mounts := make([]object, 0, len(list))
	for _, each := range list {
		text, _ := each.(string)
		source, rest, _ := strings.Cut(text, ":")
		target, options, _ := strings.Cut(rest, ":")
		// One name, so that no sandbox can have made any part of the path: each sees what lies below its own alone.
		name, inside := strings.CutPrefix(source, policy.Workspaces+"/")
		if !inside || !identity.MatchString(name) {
			return refuse("%q is mounted from outside of the directories of %s", text, policy.Workspaces)
		}
		if !plainTarget(target) {
			return refuse("%q is mounted to no absolute path", text)
		}
		readOnly := false
		for _, option := range strings.Split(options, ",") {
			switch option {
			case "ro":
				readOnly = true
			case "", "rw", "z":
			default:
				return refuse("%q has the mount option %q", text, option)
			}
		}
		mounts = append(mounts, object{
			"Type": "volume", "Source": data, "Target": target, "ReadOnly": readOnly,
			"VolumeOptions": object{"Subpath": name, "NoCopy": true},
		})
	}
	made["Mounts"] = mounts
	return nil
}

func plainTarget(target string) bool {
	return path.IsAbs(target) && path.Clean(target) == target && target != "/" && !strings.ContainsAny(target, ":,\x00\n")
}

// tmpfs allows directories in memory, of a size that is ours.
func tmpfs(made object, value any) error {
	given, ok := value.(object)
	if !ok {
		return refuse("HostConfig.Tmpfs is no object")
	}
	sized := object{}
	for target, options := range given {
		if !plainTarget(target) || options != "" {
			return refuse("the tmpfs %q %q is not allowed; write --tmpfs /path, without options", target, options)
		}
		sized[target] = sizeOfTmpfs
	}
	made["Tmpfs"] = sized
	return nil
}

// exec checks the body of an exec request and writes it anew.
func (policy Policy) exec(body object) (object, error) {
	made := object{}
	err := each(body, "", map[string]func(any) error{
		"User": func(value any) error {
			return oneOf(made, "User", value, []string{policy.User, strings.Split(policy.User, ":")[0]})
		},
		"Cmd":          keep(made, "Cmd"),
		"Env":          keep(made, "Env"),
		"WorkingDir":   keep(made, "WorkingDir"),
		"Tty":          keep(made, "Tty"),
		"AttachStdin":  keep(made, "AttachStdin"),
		"AttachStdout": keep(made, "AttachStdout"),
		"AttachStderr": keep(made, "AttachStderr"),
		"DetachKeys":   func(any) error { return nil },
		"Detach":       func(any) error { return nil },
	})
	made["User"] = policy.User
	return made, err
}

// each hands every field to its check; one without a check must say nothing.
func each(given object, prefix string, checks map[string]func(any) error) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if isEmpty(given[key]) {
			continue
		}
		check, known := checks[key]
		if !known {
			return refuse("%s%s is not allowed for a sandbox", prefix, key)
		}
		if err := check(given[key]); err != nil {
			return err
		}
	}
	return nil
}

// isEmpty tells whether a value says nothing: Docker's client sends every field that it knows.
func isEmpty(value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case bool:
		return !value
	case float64:
		return value == 0
	case string:
		return value == ""
	case []any:
		return !slices.ContainsFunc(value, func(each any) bool { return !isEmpty(each) })
	case object:
		return len(value) == 0
	}
	return false
}

func keep(made object, key string) func(any) error {
	return func(value any) error { made[key] = value; return nil }
}

func oneOf(made object, key string, value any, allowed []string) error {
	text, _ := value.(string)
	if !slices.Contains(allowed, text) {
		return refuse("%s %q is not allowed; allowed: %s", key, value, strings.Join(allowed, ", "))
	}
	made[key] = text
	return nil
}

func atMost(made object, key string, most float64, unit string) func(any) error {
	return func(value any) error {
		number, ok := value.(float64)
		if !ok || number < 0 || number > most {
			return refuse("%s: at most %v, in %s", key, most, unit)
		}
		made[key] = int64(number)
		return nil
	}
}

// among allows nothing but the named values, as one text or a list; what Docker is told is written elsewhere.
func among(what string, allowed ...string) func(any) error {
	return func(value any) error {
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, each := range list {
			if text, _ := each.(string); !slices.Contains(allowed, text) {
				return refuse("the %s %v is not allowed", what, each)
			}
		}
		return nil
	}
}

func restart(value any) error {
	policy, _ := value.(object)
	if name, _ := policy["Name"].(string); name != "" && name != "no" {
		return refuse("a sandbox is not restarted; leave --restart out")
	}
	return nil
}

func labels(made object, value any) error {
	given, ok := value.(object)
	if !ok {
		return refuse("Labels is no object")
	}
	kept := object{}
	for key, text := range given {
		if strings.HasPrefix(key, "vpai.") {
			return refuse("the label %q is ours", key)
		}
		kept[key] = text
	}
	made["Labels"] = kept
	return nil
}

// onlyNames accepts objects that hold names and nothing about them.
func onlyNames(value any) error {
	given, ok := value.(object)
	if !ok {
		return refuse("%v is no object", value)
	}
	for key, each := range given {
		if isEmpty(each) {
			continue
		}
		nested, ok := each.(object)
		if !ok {
			return refuse("%s: %v is not allowed for a sandbox", key, each)
		}
		if err := onlyNames(nested); err != nil {
			return err
		}
	}
	return nil
}
