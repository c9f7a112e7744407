package scripted

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// archive is an image archive as the order names it.
type archive struct {
	UUID   string `json:"uuid"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// load does with an archive's disk what the agent does, but for the Engine: it
// reads the raw content, compares its digest, and gives the images in it.
func (m *machine) load(a archive) ([]image, *reason) {
	damaged := func(why string) ([]image, *reason) {
		return nil, &reason{"archive_damaged", fmt.Sprintf("the archive on disk %s %s", a.UUID, why)}
	}
	file, ok := m.kind.fileOf(m.ID, a.UUID)
	if !ok {
		return damaged("is not attached")
	}
	disk, err := os.Open(file)
	if err != nil {
		return damaged(err.Error())
	}
	defer disk.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, io.NewSectionReader(disk, 0, a.Size)); err != nil {
		return damaged(err.Error())
	}
	if fmt.Sprintf("%x", hash.Sum(nil)) != a.SHA256 {
		return damaged("has not the digest that it should have")
	}
	names, err := namesIn(io.NewSectionReader(disk, 0, a.Size))
	if err != nil || len(names) == 0 {
		return damaged(fmt.Sprintf("holds no image (%v)", err))
	}
	var images []image
	for _, name := range names {
		loaded := newImage(name)
		loaded.Digest = "" // no registry has seen it
		images = append(images, loaded)
	}
	return images, nil
}

// namesIn lists the tags in an archive of "docker save".
func namesIn(content io.Reader) ([]string, error) {
	for files := tar.NewReader(content); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no manifest.json")
		}
		if err != nil {
			return nil, err
		}
		if header.Name != "manifest.json" {
			continue
		}
		var images []struct{ RepoTags []string }
		if err := json.NewDecoder(files).Decode(&images); err != nil {
			return nil, err
		}
		var names []string
		for _, i := range images {
			names = append(names, i.RepoTags...)
		}
		return names, nil
	}
}
