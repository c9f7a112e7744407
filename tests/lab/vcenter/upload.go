package vcenter

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"bonneville.vsphere/lab/ova"
)

// upload is one disk of an import.
type upload struct {
	disk string // datastore path of the disk that it becomes
	key  string // of the device in the lease's manifest
	file string // where the bytes wait for the lease's end
	// wanted is the digest that the manifest is to tell beside SHA-1, if any.
	wanted string

	done         bool
	size         int64
	sha1, sha256 string
}

// serveNFC takes a disk's bytes. The URL is the permission: hosts know no sessions.
func (v *VCenter) serveNFC(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/nfc/"), "/")
	entry, ok := v.leases.Load(parts[0])
	if !ok || len(parts) != 2 {
		http.NotFound(w, r)
		return
	}
	l := entry.(*lease)
	l.mu.Lock()
	u := l.uploads[parts[1]]
	l.mu.Unlock()
	switch {
	case u == nil:
		http.NotFound(w, r)
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		http.Error(w, "only POST and PUT", http.StatusMethodNotAllowed)
	case r.ContentLength < 0:
		http.Error(w, "a Content-Length is needed", http.StatusLengthRequired)
	case v.breakUpload(w, r, l):
	default:
		if err := l.receive(u, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
}

// breakUpload does what a rule says to an upload when half of it is there, and
// reports whether that was its end.
func (v *VCenter) breakUpload(w http.ResponseWriter, r *http.Request, l *lease) bool {
	c := call{Method: uploadMethod, This: l.vm}
	rule := v.gate.rules.take(v, c, false)
	if rule == nil {
		return false
	}
	if rule.Fault != "" {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	}
	return v.gate.misbehave(w, r, c, rule)
}

func (l *lease) receive(u *upload, body io.Reader) error {
	f, err := os.Create(u.file)
	if err != nil {
		return err
	}
	defer f.Close()
	one, two := sha1.New(), sha256.New()
	n, err := io.Copy(io.MultiWriter(f, one, two), body)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err) // the client left, or sent less than it said
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u.done, u.size = true, n
	u.sha1, u.sha256 = hex.EncodeToString(one.Sum(nil)), hex.EncodeToString(two.Sum(nil))
	return nil
}

// importDisks hands what was uploaded to the Kind.
func (l *lease) importDisks() error {
	for _, name := range l.order {
		u := l.uploads[name]
		if !u.done {
			return fmt.Errorf("%s was not uploaded", name)
		}
		if boots, err := ova.Boots(u.file); l.v.opts.Kind == nil || err != nil || !boots {
			continue // a disk that nothing here can boot is a disk all the same
		}
		if err := l.v.opts.Kind.ImportDisk(background, u.disk, u.file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		l.v.machines.setBoot(u.disk, true)
	}
	return nil
}

// clean removes the uploaded bytes.
func (l *lease) clean() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, u := range l.uploads {
		_ = os.Remove(u.file)
	}
}
