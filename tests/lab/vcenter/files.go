package vcenter

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"
)

// hostFile is where a datastore's file stands on this machine.
func (v *VCenter) hostFile(p object.DatastorePath) (string, types.BaseMethodFault) {
	ds := v.datastoreByName(p.Datastore)
	if ds == nil || strings.Contains(p.Path, "..") {
		return "", &types.InvalidDatastorePath{
			InvalidDatastore: types.InvalidDatastore{Name: p.Datastore}, DatastorePath: p.String()}
	}
	return filepath.Join(ds.Summary.Url, filepath.FromSlash(p.Path)), nil
}

func (v *VCenter) hostPath(datastorePath string) (string, types.BaseMethodFault) {
	var p object.DatastorePath
	if !p.FromString(datastorePath) {
		return "", &types.InvalidDatastorePath{DatastorePath: datastorePath}
	}
	return v.hostFile(p)
}

// touchFile makes a file on a datastore, unless it is there, and says where.
func (v *VCenter) touchFile(datastorePath string) (string, types.BaseMethodFault) {
	host, fault := v.hostPath(datastorePath)
	if fault != nil {
		return "", fault
	}
	f, err := os.OpenFile(host, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return "", said(&types.FileNotFound{FileFault: types.FileFault{File: datastorePath}},
			"File %s was not found", datastorePath)
	}
	return host, fileFault(f.Close(), datastorePath)
}

func fileFault(err error, file string) types.BaseMethodFault {
	if err == nil {
		return nil
	}
	return said(&types.FileFault{File: file}, "%s: %v", file, err)
}

// makeDirectory makes a directory for a new VM: its name, or with a number behind
// it where that is taken, as vSphere does.
func (v *VCenter) makeDirectory(datastore, name string) (object.DatastorePath, types.BaseMethodFault) {
	for i := range 1000 {
		p := object.DatastorePath{Datastore: datastore, Path: name}
		if i > 0 {
			p.Path = fmt.Sprintf("%s_%d", name, i)
		}
		host, fault := v.hostFile(p)
		if fault != nil {
			return p, fault
		}
		err := os.Mkdir(host, 0o755)
		if err == nil {
			return p, nil
		}
		if !os.IsExist(err) {
			return p, fileFault(err, p.String())
		}
	}
	return object.DatastorePath{}, &types.FileAlreadyExists{FileFault: types.FileFault{File: name}}
}

// removeDirectory removes a VM's directory with what is in it. Files that someone
// put there by the datastore access are not the VM's: they stay, and the directory
// with them.
func (v *VCenter) removeDirectory(p object.DatastorePath) {
	if p.Path == "" || p.Path == "." || p.Path == "/" {
		return
	}
	host, fault := v.hostFile(p)
	if fault != nil {
		return
	}
	entries, _ := os.ReadDir(host)
	for _, e := range entries {
		file := filepath.Join(host, e.Name())
		if _, uploaded := v.uploaded.Load(file); !uploaded {
			_ = os.RemoveAll(file)
		}
	}
	_ = os.Remove(host)
}

// flatOf is the file with a disk's content, beside its descriptor.
func flatOf(descriptor string) string {
	return strings.TrimSuffix(descriptor, ".vmdk") + "-flat.vmdk"
}

// writeDisk makes the files of a new empty disk.
func (v *VCenter) writeDisk(file string, capacity int64) types.BaseMethodFault {
	host, fault := v.hostPath(file)
	if fault != nil {
		return fault
	}
	text := fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\n"+
		"RW %d VMFS \"%s\"\n", capacity/512, path.Base(flatOf(file)))
	if err := os.WriteFile(host, []byte(text), 0o644); err != nil {
		return fileFault(err, file)
	}
	flat := flatOf(host)
	f, err := os.OpenFile(flat, os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		err = f.Truncate(capacity) // sparse: it takes no space
		_ = f.Close()
	}
	return fileFault(err, file)
}

// writeVM makes the files that every VM has.
func (v *VCenter) writeVM(dir object.DatastorePath, name string) (vmx string, fault types.BaseMethodFault) {
	for _, file := range []string{name + ".vmx", name + ".nvram", "vmware.log"} {
		p := object.DatastorePath{Datastore: dir.Datastore, Path: path.Join(dir.Path, file)}
		if _, fault = v.touchFile(p.String()); fault != nil {
			return "", fault
		}
	}
	p := object.DatastorePath{Datastore: dir.Datastore, Path: path.Join(dir.Path, name+".vmx")}
	return p.String(), nil
}

// removeDisk removes a disk's files and what the Kind has of it.
func (v *VCenter) removeDisk(file string) {
	if v.machines.boots(file) {
		_ = v.opts.Kind.DeleteDisk(background, file)
		v.machines.setBoot(file, false)
	}
	if host, fault := v.hostPath(file); fault == nil {
		for _, part := range []string{host, flatOf(host)} {
			_ = os.Remove(part)
			v.uploaded.Delete(part)
		}
	}
}

// orphans lists what stands at the top of the datastores and is no VM's directory.
func (v *VCenter) orphans(homes map[string]bool) []string {
	out := []string{}
	for _, ds := range v.datastores() {
		entries, _ := os.ReadDir(ds.Summary.Url)
		for _, e := range entries {
			p := object.DatastorePath{Datastore: ds.Name, Path: e.Name()}
			if !homes[p.String()] {
				out = append(out, p.String())
			}
		}
	}
	return out
}
