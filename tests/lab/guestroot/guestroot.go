// Package guestroot builds the disk that the lab's docker guests boot from: a
// Debian with a Docker Engine, and stand-ins for what Photon has beside it.
//
// The Debian comes from debootstrap, once per engine; the stand-ins are a layer on
// top, so that changing them costs a second.
package guestroot

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"bonneville.vsphere/lab/engine"
	"bonneville.vsphere/lab/program"
)

//go:embed wire cloudinit cmd/standin
var sources embed.FS

// Options says which engine is to have the image, and where to keep what it is built from.
type Options struct {
	Client   *engine.Client
	Cache    string
	Progress io.Writer
}

const repository = "bonneville-lab"

// standins are the names under which a guest finds the stand-in.
var standins = []string{
	"usr/sbin/init", "usr/bin/systemctl", "usr/bin/vmtoolsd", "usr/bin/vmware-rpctool", "usr/sbin/poweroff",
	"usr/sbin/reboot",
}

// Ensure gives the guest root's image, built where the engine does not have it yet.
func Ensure(ctx context.Context, o Options) (string, error) {
	base := fmt.Sprintf("%s/debian:%s", repository, digest(suite, strings.Join(packages, ","), finish))
	have, err := exists(ctx, o.Client, base)
	if err != nil {
		return "", err
	}
	if !have {
		if err := bootstrap(ctx, o, base); err != nil {
			return "", fmt.Errorf("guest root: %w", err)
		}
	}
	binary, err := program.Build(ctx, program.Program{
		Name: "standin", Sources: sources, At: "guestroot", Main: "cmd/standin", Arch: runtime.GOARCH,
	}, o.Cache, o.Progress)
	if err != nil {
		return "", fmt.Errorf("guest root: %w", err)
	}
	// The program's name holds the hash of its sources.
	guest := fmt.Sprintf("%s/guest:%s", repository, digest(base, filepath.Base(binary), strings.Join(standins, ",")))
	if have, err = exists(ctx, o.Client, guest); err != nil || have {
		return guest, err
	}
	fmt.Fprintln(o.Progress, "[guest root] adding the stand-ins for systemd, cloud-init and VMware Tools")
	layer, err := layerOf(binary)
	if err != nil {
		return "", err
	}
	if err := extend(ctx, o.Client, base, guest, layer); err != nil {
		return "", fmt.Errorf("guest root: %w", err)
	}
	return guest, nil
}

func digest(inputs ...string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(inputs, "\n"))))[:12]
}

func exists(ctx context.Context, c *engine.Client, image string) (bool, error) {
	err := c.Call(ctx, "GET", "/images/"+image+"/json", nil, nil, nil)
	if engine.IsStatus(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// layerOf is the archive that puts the stand-in into a root, under all its names.
func layerOf(binary string) (io.Reader, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	archive := tar.NewWriter(&raw)
	const place = "usr/lib/bonneville-lab"
	headers := []tar.Header{
		{Typeflag: tar.TypeReg, Name: place, Mode: 0o755, Size: int64(len(content))},
		// What a first boot fills in has to be empty in an image that all machines share.
		{Typeflag: tar.TypeReg, Name: "etc/machine-id", Mode: 0o444},
		{Typeflag: tar.TypeReg, Name: "etc/hostname", Mode: 0o644},
	}
	for _, name := range standins {
		headers = append(headers, tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: "/" + place, Mode: 0o777})
	}
	for _, h := range headers {
		if err := archive.WriteHeader(&h); err != nil {
			return nil, err
		}
		if h.Size > 0 {
			if _, err := archive.Write(content); err != nil {
				return nil, err
			}
		}
	}
	return &raw, archive.Close()
}

// extend makes image out of base and the archive, by way of a container that never runs.
func extend(ctx context.Context, c *engine.Client, base, image string, layer io.Reader) error {
	var made struct{ ID string }
	config := map[string]any{"Image": base, "Entrypoint": []string{"/usr/sbin/init"}}
	if err := c.Call(ctx, "POST", "/containers/create", nil, config, &made); err != nil {
		return err
	}
	defer c.Call(context.WithoutCancel(ctx), "DELETE", "/containers/"+made.ID, url.Values{"force": {"1"}}, nil, nil)
	answer, err := c.Stream(ctx, "PUT", "/containers/"+made.ID+"/archive", url.Values{"path": {"/"}}, "application/x-tar", layer)
	if err != nil {
		return err
	}
	answer.Close()
	name, tag, _ := strings.Cut(image, ":")
	return c.Call(ctx, "POST", "/commit", url.Values{"container": {made.ID}, "repo": {name}, "tag": {tag}}, nil, nil)
}

// importRoot streams an archive of a root into the engine. The engine answers 200
// and tells a failure in the stream of messages that follows.
func importRoot(ctx context.Context, c *engine.Client, image string, archive io.Reader) error {
	name, tag, _ := strings.Cut(image, ":")
	query := url.Values{"fromSrc": {"-"}, "repo": {name}, "tag": {tag}}
	answer, err := c.Stream(ctx, "POST", "/images/create", query, "application/x-tar", archive)
	if err != nil {
		return err
	}
	defer answer.Close()
	messages := json.NewDecoder(answer)
	for {
		var message struct{ Error string }
		if err := messages.Decode(&message); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if message.Error != "" {
			return errors.New(message.Error)
		}
	}
}
