package vcenter

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/object"
)

// routes adds what stands beside the SOAP endpoint.
func (v *VCenter) routes(mux *http.ServeMux) {
	mux.HandleFunc("/folder/", v.serveFolder)
	mux.HandleFunc("/nfc/", v.serveNFC)
}

// serveFolder is the access to datastores' files. Unlike the simulator's it asks
// who is there, as vCenter does.
func (v *VCenter) serveFolder(w http.ResponseWriter, r *http.Request) {
	user, password, basic := r.BasicAuth()
	if !v.gate.loggedIn(r) && !(basic && user == User && password == v.password) {
		w.Header().Set("WWW-Authenticate", `Basic realm="VMware HTTP server"`)
		http.Error(w, "not logged in", http.StatusUnauthorized)
		return
	}
	query := r.URL.Query()
	dc := strings.Trim(query.Get("dcPath"), "/")
	if dc != Datacenter && dc != "" {
		http.Error(w, "no such datacenter", http.StatusNotFound)
		return
	}
	p := object.DatastorePath{Datastore: query.Get("dsName"), Path: strings.TrimPrefix(r.URL.Path, "/folder/")}
	file, fault := v.hostFile(p)
	if fault != nil {
		http.Error(w, message(fault), http.StatusNotFound)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		if v.may("Datastore.Browse", w) {
			serveFile(w, r, file)
		}
	case http.MethodPut:
		v.receiveFile(w, r, file)
	case http.MethodDelete:
		v.deleteFile(w, r, file)
	default:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// serveFile answers with a file or, by Range, a part of it.
func serveFile(w http.ResponseWriter, r *http.Request, file string) {
	f, err := os.Open(file)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// receiveFile writes an uploaded file beside its place and moves it there, so that
// a broken upload leaves nothing. Directories are not made: vCenter makes none.
func (v *VCenter) receiveFile(w http.ResponseWriter, r *http.Request, file string) {
	if r.ContentLength < 0 {
		http.Error(w, "a Content-Length is needed", http.StatusLengthRequired)
		return
	}
	if !v.may("Datastore.FileManagement", w) {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".upload-")
	if err != nil {
		http.Error(w, "no such directory", http.StatusNotFound)
		return
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, r.Body)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	v.uploaded.Store(file, true)
	w.WriteHeader(http.StatusCreated)
}

func (v *VCenter) deleteFile(w http.ResponseWriter, r *http.Request, file string) {
	if !v.may("Datastore.FileManagement", w) {
		return
	}
	if err := os.Remove(file); err != nil {
		http.NotFound(w, r)
		return
	}
	v.uploaded.Delete(file)
	w.WriteHeader(http.StatusNoContent)
}

// may answers for the caller where the user lacks the privilege.
func (v *VCenter) may(privilege string, w http.ResponseWriter) bool {
	if v.switches.refuses(privilege) {
		http.Error(w, "missing privilege "+privilege, http.StatusForbidden)
		return false
	}
	return true
}
