package ova

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/ovf"
)

func TestOVAIsWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lab.ova")
	if err := Build(file, "docker"); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var names []string
	content := map[string][]byte{}
	for archive := tar.NewReader(f); ; {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		content[header.Name], _ = io.ReadAll(archive)
	}
	if len(names) != 3 || !strings.HasSuffix(names[0], ".ovf") || !strings.HasSuffix(names[1], ".mf") {
		t.Fatal("members, in order:", names)
	}
	for _, name := range []string{names[0], names[2]} {
		line := fmt.Sprintf("SHA256(%s)= %x\n", name, sha256.Sum256(content[name]))
		if !strings.Contains(string(content[names[1]]), line) {
			t.Errorf("the manifest has no %q", line)
		}
	}
	kind, err := Kind(bytes.NewReader(content[names[2]]))
	if err != nil || kind != "docker" {
		t.Error(kind, err)
	}
	envelope, err := ovf.Unmarshal(bytes.NewReader(content[names[0]]))
	if err != nil {
		t.Fatal(err)
	}
	if size := envelope.References[0].Size; int(size) != len(content[names[2]]) {
		t.Errorf("the descriptor says %d bytes, the disk has %d", size, len(content[names[2]]))
	}
	if len(envelope.VirtualSystem.Eula) != 1 {
		t.Error("no EULA")
	}
}

func TestKindWantsTheMarker(t *testing.T) {
	if _, err := Kind(strings.NewReader("KDMV another disk")); err == nil {
		t.Error("a foreign disk was taken")
	}
}
