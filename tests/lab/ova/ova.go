// Package ova builds the lab's OVA: small, whole, and with the hardware of Photon
// OS's, so that a template's path is walked as with the real one. Its disk holds no
// system but a word to the lab, which boots a guest of its own kind from it.
package ova

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Marker begins the disk's content.
const Marker = "bonneville-lab-guest\n"

// diskSize is the size of the uploaded disk: a few chunks, so that an upload that
// breaks in the middle can be tried.
const diskSize = 3<<20 + 512

// Build writes an OVA for guests of a kind.
func Build(file, kind string) error {
	name := "photon-lab"
	disk, err := content(kind)
	if err != nil {
		return err
	}
	descriptor := []byte(fmt.Sprintf(template, len(disk)))
	members := []struct {
		name string
		data []byte
	}{
		{name + ".ovf", descriptor},
		{name + ".mf", nil},
		{name + "-disk1.vmdk", disk},
	}
	var manifest bytes.Buffer
	for _, m := range members {
		if m.data != nil {
			fmt.Fprintf(&manifest, "SHA256(%s)= %x\n", m.name, sha256.Sum256(m.data))
		}
	}
	members[1].data = manifest.Bytes()

	temporary, err := os.CreateTemp(filepath.Dir(file), ".ova-")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	archive := tar.NewWriter(temporary)
	for _, m := range members {
		header := &tar.Header{Name: m.name, Mode: 0o644, Size: int64(len(m.data)), Format: tar.FormatUSTAR,
			ModTime: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
		if err = archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err = archive.Write(m.data); err != nil {
			return err
		}
	}
	if err = archive.Close(); err != nil {
		return err
	}
	if err = temporary.Chmod(0o644); err != nil {
		return err
	}
	if err = temporary.Close(); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}

func content(kind string) ([]byte, error) {
	word, err := json.Marshal(map[string]string{"kind": kind})
	if err != nil {
		return nil, err
	}
	disk := make([]byte, diskSize)
	copy(disk, Marker+string(word)+"\n")
	return disk, nil
}

// Boots tells whether a file is the content of a disk that the lab's guests boot from.
func Boots(file string) (bool, error) {
	disk, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer disk.Close()
	head := make([]byte, len(Marker))
	_, err = io.ReadFull(disk, head)
	return err == nil && string(head) == Marker, nil
}

// Kind reads from a disk's content which guest boots from it.
func Kind(disk io.Reader) (string, error) {
	head := make([]byte, 4096)
	n, err := io.ReadFull(disk, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return "", err
	}
	rest, ok := bytes.CutPrefix(head[:n], []byte(Marker))
	if !ok {
		return "", fmt.Errorf("the disk does not begin as the lab's do")
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	var word struct {
		Kind string `json:"kind"`
	}
	return word.Kind, json.Unmarshal(line, &word)
}
