package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// parentsDir is where a clone sees the volumes that its layers link into.
const parentsDir = "/var/lib/bonneville-lab/parents"

// fork copies a Docker Engine's data root but for the content of its images'
// layers, which become links into the parent's volume. The copy is under a megabyte,
// and neither side notices: image layers never change.
//
// Links stand for the directories named diff alone: the engine writes into the
// layer's own directory beside them. Layers of containers can change, and are copied.
func fork(from, to volume) error {
	own := containerLayers(from.path)
	return filepath.WalkDir(from.path, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file of a running engine that was there a moment ago
		}
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from.path, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to.path, inside)
		if isLayer, id := layerOf(inside); isLayer && entry.IsDir() && !own[id] {
			if err := os.Symlink(filepath.Join(parentsDir, from.name, inside), target); err != nil {
				return err
			}
			return fs.SkipDir
		}
		err = copyOne(path, target)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// layerOf recognises overlay2/ID/diff.
func layerOf(inside string) (bool, string) {
	dir, name := filepath.Split(inside)
	parent, id := filepath.Split(filepath.Clean(dir))
	return name == "diff" && parent == "overlay2/", id
}

// containerLayers names the layers that belong to containers, not to images.
func containerLayers(root string) map[string]bool {
	own := map[string]bool{}
	found, _ := filepath.Glob(filepath.Join(root, "image/overlay2/layerdb/mounts/*/*-id"))
	for _, file := range found {
		if id, err := os.ReadFile(file); err == nil {
			own[string(id)] = true
		}
	}
	return own
}

// copyOne copies one directory entry, without its children, with owner, mode and
// the attributes that overlayfs keeps.
func copyOne(from, to string) error {
	var stat syscall.Stat_t
	if err := syscall.Lstat(from, &stat); err != nil {
		return err
	}
	mode := stat.Mode & 0o7777
	switch stat.Mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if err := os.Mkdir(to, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case syscall.S_IFREG:
		if err := copyFile(from, to); err != nil {
			return err
		}
	case syscall.S_IFLNK:
		link, err := os.Readlink(from)
		if err == nil {
			err = os.Symlink(link, to)
		}
		if err != nil {
			return err
		}
		return os.Lchown(to, int(stat.Uid), int(stat.Gid))
	case syscall.S_IFCHR:
		// How overlayfs marks a file as deleted.
		if err := syscall.Mknod(to, stat.Mode, int(stat.Rdev)); err != nil {
			return err
		}
	default:
		return nil // sockets and pipes are nothing without their process
	}
	if err := os.Lchown(to, int(stat.Uid), int(stat.Gid)); err != nil {
		return err
	}
	if err := syscall.Chmod(to, mode); err != nil {
		return err
	}
	return copyOpaque(from, to)
}

// copyOpaque keeps overlayfs's mark on a directory that hides the one below it.
func copyOpaque(from, to string) error {
	const name = "trusted.overlay.opaque"
	value := make([]byte, 8)
	n, err := syscall.Getxattr(from, name, value)
	if err != nil {
		return nil // it has none
	}
	return syscall.Setxattr(to, name, value[:n], 0)
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// copyAll is a full copy of a data root that no engine runs on; layers that are
// links into a parent's volume become directories.
func copyAll(ctx context.Context, from, to string, parents []volume) error {
	if err := copyTree(ctx, from, to); err != nil {
		return err
	}
	layers, err := filepath.Glob(filepath.Join(to, "overlay2/*/diff"))
	if err != nil {
		return err
	}
	for _, layer := range layers {
		link, err := os.Readlink(layer)
		if err != nil {
			continue // a directory
		}
		source, ok := hostPath(link, parents)
		if !ok {
			return fmt.Errorf("layer %s links to %s, which is no parent's", layer, link)
		}
		if err := os.Remove(layer); err != nil {
			return err
		}
		if err := os.Mkdir(layer, 0o755); err != nil {
			return err
		}
		if err := copyTree(ctx, source, layer); err != nil {
			return err
		}
	}
	return nil
}

// copyTree copies what is in one directory into another, with everything that cp can keep.
func copyTree(ctx context.Context, from, to string) error {
	out, err := exec.CommandContext(ctx, "cp", "-a", "--reflink=auto", from+"/.", to+"/").CombinedOutput()
	if err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return nil
}
