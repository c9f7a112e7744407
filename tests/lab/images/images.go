// Package images builds the lab's container images: static programs of its own on
// an empty base, so that no outside registry is needed.
package images

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"bonneville.vsphere/lab/program"
)

//go:embed cmd
var sources embed.FS

// Options says where built programs are kept, and who hears of the progress.
type Options struct {
	Cache    string
	Progress io.Writer
}

// Set is the lab's images, ready to be pushed or saved.
type Set struct{ images []image }

type image struct {
	repository string // as in the registry
	tag        string
	offered    bool // one of the images that a template is expected to hold
	content    v1.Image
}

// recipe is what makes one image.
type recipe struct {
	program    string
	arch       string
	repository string
	tags       []string // each becomes an image that says its tag in VERSION
	offered    bool
	health     *v1.HealthConfig
}

func recipes() []recipe {
	// Short intervals: a test that waits for health is not to wait for Docker's 30 s.
	check := &v1.HealthConfig{
		Test: []string{"CMD", "/health", "check"}, Interval: time.Second, Timeout: 2 * time.Second, Retries: 2,
	}
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	return []recipe{
		{program: "web", arch: runtime.GOARCH, repository: "web", tags: []string{"1", "2"}, offered: true},
		{program: "job", arch: runtime.GOARCH, repository: "job", tags: []string{"1"}, offered: true},
		{program: "health", arch: runtime.GOARCH, repository: "health", tags: []string{"1"}, offered: true, health: check},
		{program: "foreign", arch: other, repository: "arm", tags: []string{"1"}},
	}
}

// Build makes all images; the compiled programs are cached, the rest takes no time.
func Build(ctx context.Context, o Options) (*Set, error) {
	set := &Set{}
	for _, r := range recipes() {
		file, err := program.Build(ctx, program.Program{
			Name: r.program, Sources: sources, At: "images", Main: "cmd/" + r.program, Arch: r.arch,
		}, o.Cache, o.Progress)
		if err != nil {
			return nil, err
		}
		layer, err := layerOf(file, r.program)
		if err != nil {
			return nil, err
		}
		for _, tag := range r.tags {
			content, err := assemble(r, tag, layer)
			if err != nil {
				return nil, fmt.Errorf("image %s:%s: %w", r.repository, tag, err)
			}
			set.images = append(set.images, image{r.repository, tag, r.offered, content})
		}
	}
	return set, nil
}

// Push puts every image into the registry at address and gives the names of those
// that a template is expected to hold: {"web": "10.213.0.1:5000/web:1", ...}.
// Beside them are web:2, and arm:1 for another architecture than the guests'.
func (s *Set) Push(ctx context.Context, address string) (map[string]string, error) {
	return s.PushTo(ctx, address, "", authn.Anonymous)
}

// PushTo is Push below a repository prefix ("private/") with a login.
func (s *Set) PushTo(ctx context.Context, address, prefix string, login authn.Authenticator) (map[string]string, error) {
	names := map[string]string{}
	for _, i := range s.images {
		full := fmt.Sprintf("%s/%s%s:%s", address, prefix, i.repository, i.tag)
		reference, err := name.ParseReference(full, name.Insecure)
		if err != nil {
			return nil, err
		}
		if err := remote.Write(reference, i.content, remote.WithContext(ctx), remote.WithAuth(login)); err != nil {
			return nil, fmt.Errorf("pushing %s: %w", full, err)
		}
		if _, have := names[i.repository]; i.offered && !have {
			names[i.repository] = full
		}
	}
	return names, nil
}

// Save writes what "docker save" would, one archive per image that a template is
// expected to hold: {"web": "DIR/web.tar", ...}, tagged "lab/web:1".
func (s *Set) Save(dir string) (map[string]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, i := range s.images {
		if _, have := files[i.repository]; have || !i.offered {
			continue
		}
		tag, err := name.NewTag("lab/" + i.repository + ":" + i.tag)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, i.repository+".tar")
		if err := tarball.WriteToFile(file, tag, i.content); err != nil {
			return nil, err
		}
		files[i.repository] = file
	}
	return files, nil
}

// layerOf is a root with the program, a writable /tmp, and the names of two users.
func layerOf(file, program string) (v1.Layer, error) {
	binary, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var raw bytes.Buffer
	archive := tar.NewWriter(&raw)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err == nil {
			err = archive.WriteHeader(&h)
		}
		if err == nil {
			_, err = archive.Write(content)
		}
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	add(tar.Header{Typeflag: tar.TypeDir, Name: "etc/", Mode: 0o755}, nil)
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644},
		[]byte("root:x:0:0:root:/:/none\nnobody:x:65534:65534:nobody:/:/none\n"))
	add(tar.Header{Typeflag: tar.TypeReg, Name: program, Mode: 0o755}, binary)
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw.Bytes())), nil })
}

func assemble(r recipe, tag string, layer v1.Layer) (v1.Image, error) {
	content, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.DockerManifestSchema2), layer)
	if err != nil {
		return nil, err
	}
	config, err := content.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = r.arch, "linux"
	config.Config = v1.Config{
		Entrypoint:  []string{"/" + r.program},
		Env:         []string{"PATH=/", "VERSION=" + tag},
		Labels:      map[string]string{"org.opencontainers.image.title": r.repository, "org.opencontainers.image.version": tag},
		Healthcheck: r.health,
	}
	if r.repository != "job" {
		config.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}}
	}
	return mutate.ConfigFile(content, config)
}
