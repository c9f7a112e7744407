// Package cloudinit is cloud-init with its VMware datasource, as far as the lab's
// guests need it: user data is applied once per instance id, at boot only. It reads
// cloud-config written as JSON, which is YAML.
package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// disabled is the file by which cloud-init is switched off.
const disabled = "/etc/cloud/cloud-init.disabled"

// Guest is the machine that user data is applied to.
type Guest struct {
	InfoGet func(key string) (value string, ok bool)
	Run     func(argv ...string) (code int, out string)
	Say     func(format string, values ...any)
}

// userData is the part of cloud-config that is known here.
type userData struct {
	WriteFiles []struct {
		Path        string `json:"path"`
		Permissions string `json:"permissions"`
		Encoding    string `json:"encoding"`
		Content     string `json:"content"`
	} `json:"write_files"`
	RunCmd []json.RawMessage `json:"runcmd"`
}

// Boot does what cloud-init does at a boot.
func (g Guest) Boot() {
	if _, err := os.Stat(disabled); err == nil {
		return
	}
	metadata, hasMetadata := g.data("metadata")
	data, hasData := g.data("userdata")
	if !hasMetadata && !hasData {
		return
	}
	var about struct {
		InstanceID string `json:"instance-id"`
	}
	if json.Unmarshal(metadata, &about) != nil || about.InstanceID == "" {
		about.InstanceID = "iid-datasource-none"
	}
	done := filepath.Join("/var/lib/cloud/instances", filepath.Base(about.InstanceID))
	if _, err := os.Stat(done); err == nil {
		return
	}
	if err := g.apply(data); err != nil {
		g.Say("cloud-init: %v", err)
	}
	_ = os.MkdirAll(done, 0o755)
}

func (g Guest) apply(data []byte) error {
	text, ok := bytes.CutPrefix(data, []byte("#cloud-config\n"))
	if !ok {
		return fmt.Errorf("user data does not begin with #cloud-config")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var config userData
	if err := decoder.Decode(&config); err != nil {
		return fmt.Errorf("user data: %w", err)
	}
	for _, file := range config.WriteFiles {
		content, err := decode([]byte(file.Content), file.Encoding)
		if err != nil {
			return fmt.Errorf("%s: %w", file.Path, err)
		}
		mode := os.FileMode(0o644)
		if n, err := strconv.ParseUint(file.Permissions, 8, 12); err == nil {
			mode = os.FileMode(n)
		}
		if err := os.MkdirAll(filepath.Dir(file.Path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file.Path, content, mode); err != nil {
			return err
		}
		if err := os.Chmod(file.Path, mode); err != nil {
			return err
		}
	}
	for _, raw := range config.RunCmd {
		var argv []string
		if json.Unmarshal(raw, &argv) != nil {
			var line string
			if err := json.Unmarshal(raw, &line); err != nil {
				return fmt.Errorf("runcmd: %w", err)
			}
			argv = []string{"sh", "-c", line}
		}
		// Like cloud-init's script of them: one that fails does not keep the next from running.
		if code, out := g.Run(argv...); code != 0 {
			g.Say("cloud-init: %s: exit code %d: %s", strings.Join(argv, " "), code, strings.TrimSpace(out))
		}
	}
	return nil
}

// data reads guestinfo.NAME, decoded as guestinfo.NAME.encoding says.
func (g Guest) data(name string) ([]byte, bool) {
	value, ok := g.InfoGet("guestinfo." + name)
	if !ok || value == "" {
		return nil, false
	}
	encoding, _ := g.InfoGet("guestinfo." + name + ".encoding")
	data, err := decode([]byte(value), encoding)
	if err != nil {
		g.Say("cloud-init: guestinfo.%s: %v", name, err)
		return nil, false
	}
	return data, true
}

func decode(data []byte, encoding string) ([]byte, error) {
	switch encoding {
	case "", "text/plain":
		return data, nil
	case "b64", "base64":
		return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(data)), ""))
	case "gzip+base64", "gz+b64", "gz+base64", "gzip+b64":
		packed, err := decode(data, "base64")
		if err != nil {
			return nil, err
		}
		reader, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(reader)
	}
	return nil, fmt.Errorf("unknown encoding %q", encoding)
}
