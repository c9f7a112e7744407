package control

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"bonneville.vsphere/lab/scripted"
	"bonneville.vsphere/lab/vcenter"
)

func TestControl(t *testing.T) {
	kind := scripted.New()
	vc, err := vcenter.New(vcenter.Options{Hosts: 1, Clusters: 1, HostMemoryGB: 8, Listen: "127.0.0.1:0", Dir: t.TempDir(),
		APIVersion: "8.0.3.0", Kind: kind, KindName: "scripted"})
	if err != nil {
		t.Fatal(err)
	}
	defer vc.Close()
	api, err := Serve(vc, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	do := func(method, path, body string) (int, string) {
		req, err := http.NewRequest(method, api.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/calls", "", 200},
		{"DELETE", "/calls", "", 204},
		{"GET", "/traffic", "", 200},
		{"POST", "/faults", `{"method":"any","fault":"InvalidState"}`, 200},
		{"POST", "/faults", `{"method":"any","fault":"NoSuchFault"}`, 400},
		{"POST", "/faults", `{"metod":"any"}`, 400},
		{"POST", "/faults", `{"entity":"[","fault":"InvalidState"}`, 400},
		{"POST", "/faults", `{"method":"CreateFolder","task":true,"fault":"hang"}`, 400},
		{"DELETE", "/faults", "", 204},
		{"POST", "/scripted", `[{"match":"web-*","script":[{"phase":"running","container":{"health":"healthy"}}]}]`, 204},
		{"POST", "/scripted", `[{"match":"web-*","script":[{"after_ms":1}]}]`, 400},
		{"POST", "/scripted", `[{"mach":"web-*"}]`, 400},
		{"POST", "/switch", `{"deny":["Folder.Create"],"inherit_extraconfig":false}`, 204},
		{"POST", "/switch", `{"denied":[]}`, 400},
		{"POST", "/vms", `{"name":"foreign","folder":"a/b","on":true}`, 200},
		{"POST", "/vms", `{"name":"foreign","folder":"a/b"}`, 409},
		{"POST", "/vms", `{"folder":"a/b"}`, 409},
		{"POST", "/vms/foreign/power-off", "", 204},
		{"POST", "/vms/foreign/power-off", "", 409},
		{"POST", "/vms/foreign/rename?to=other", "", 204},
		{"POST", "/vms/foreign/power-on", "", 409},
		{"POST", "/vms/other/move?folder=c", "", 204},
		{"POST", "/vms/other/reconfigure", `{"key":"value"}`, 204},
		{"POST", "/vms/other/kill-guest", "", 409},
		{"POST", "/vms/other/guest-exit", "", 400},
		{"POST", "/vms/other/dance", "", 400},
		{"POST", "/hosts/DC0_C0_H0/maintenance", "", 204},
		{"POST", "/hosts/DC0_C0_H0/exit-maintenance", "", 204},
		{"POST", "/hosts/none/restart", "", 409},
		{"POST", "/sessions/expire", "", 204},
		{"GET", "/nothing", "", 404},
	} {
		if status, text := do(c.method, c.path, c.body); status != c.status {
			t.Errorf("%s %s %s: %d, not %d: %s", c.method, c.path, c.body, status, c.status, text)
		}
	}
	var state vcenter.State
	_, text := do("GET", "/state", "")
	if err = json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	if len(state.VMs) != 1 || state.VMs[0].Name != "other" || state.VMs[0].Folder != "c" || state.VMs[0].ExtraConfig["key"] != "value" {
		t.Error(text)
	}
	if status, _ := do("POST", "/vms/other/destroy", ""); status != 204 {
		t.Error("destroy:", status)
	}
}
