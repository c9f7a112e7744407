package scripted

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
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
	images, err := imagesIn(io.NewSectionReader(disk, 0, a.Size))
	if err != nil || len(images) == 0 {
		return damaged(fmt.Sprintf("holds no image (%v)", err))
	}
	return images, nil
}

// imagesIn lists the tags in an archive of "docker save". An image's id is the digest of its configuration, which is
// that file's name; another content is another image, whatever it is called.
func imagesIn(content io.Reader) ([]image, error) {
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
		var saved []struct {
			Config   string
			RepoTags []string
		}
		if err := json.NewDecoder(files).Decode(&saved); err != nil {
			return nil, err
		}
		var images []image
		for _, one := range saved {
			for _, name := range one.RepoTags {
				loaded := newImage(name)
				loaded.ID = "sha256:" + strings.TrimSuffix(path.Base(one.Config), ".json")
				loaded.Digest = "" // no registry has seen it
				images = append(images, loaded)
			}
		}
		return images, nil
	}
}
