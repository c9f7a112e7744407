package vcenter

import (
	"archive/tar"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// HttpNfcLeaseSetManifestChecksumType says which digest of a disk the manifest is to tell.
func (l *lease) HttpNfcLeaseSetManifestChecksumType(_ *simulator.Context, req *types.HttpNfcLeaseSetManifestChecksumType) soap.HasFault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, wanted := range req.DeviceUrlsToChecksumTypes {
		u := l.byKey(wanted.Key)
		if u == nil || (wanted.Value != "sha1" && wanted.Value != "sha256") {
			fault := &types.InvalidArgument{InvalidProperty: "deviceUrlsToChecksumTypes"}
			return faulted{simulator.Fault(message(fault), fault)}
		}
		u.wanted = wanted.Value
	}
	return &methods.HttpNfcLeaseSetManifestChecksumTypeBody{Res: new(types.HttpNfcLeaseSetManifestChecksumTypeResponse)}
}

// byKey is the upload of a device. The caller holds the lease's mutex.
func (l *lease) byKey(key string) *upload {
	for _, u := range l.uploads {
		if u.key == key {
			return u
		}
	}
	return nil
}

// HttpNfcLeasePullFromUrlsTask has the host get the disks from a web server by itself.
func (l *lease) HttpNfcLeasePullFromUrlsTask(ctx *simulator.Context, req *types.HttpNfcLeasePullFromUrls_Task) soap.HasFault {
	if l.State != types.HttpNfcLeaseStateReady || l.ended() {
		return invalidState("The lease is not ready.")
	}
	if !l.Capabilities.PullModeSupported {
		return invalidState("The lease does not support pull mode.")
	}
	l.mu.Lock()
	wanted := map[string]*upload{}
	for _, device := range l.Info.DeviceUrl {
		wanted[device.ImportKey] = l.uploads[device.TargetId]
	}
	// The lease's end is the end of what its host still gets.
	getting, stop := context.WithCancel(background)
	l.stop = stop
	l.mu.Unlock()
	for _, file := range req.Files {
		if wanted[file.TargetDeviceId] == nil || len(req.Files) != len(wanted) {
			fault := &types.InvalidArgument{InvalidProperty: "files"}
			return faulted{simulator.Fault(message(fault), fault)}
		}
	}
	ctx.Update(l, []types.PropertyChange{{Name: "mode", Val: string(types.HttpNfcLeaseModePull)}})
	task := taskSpec{method: "HttpNfcLeasePullFromUrls_Task", entity: l.v.registry().Get(l.vm)}
	ref := l.v.run(task, func(ctx *simulator.Context, progress func(int32)) (types.AnyType, types.BaseMethodFault) {
		for i, file := range req.Files {
			if fault := l.pull(getting, wanted[file.TargetDeviceId], file); fault != nil {
				return nil, fault
			}
			percent := int32((i + 1) * 100 / len(req.Files))
			l.set(ctx, []types.PropertyChange{{Name: "transferProgress", Val: percent}})
			progress(percent)
		}
		return nil, nil
	})
	return &methods.HttpNfcLeasePullFromUrls_TaskBody{Res: &types.HttpNfcLeasePullFromUrls_TaskResponse{Returnval: ref}}
}

// errThumbprint is a server with another certificate than the client has vouched for.
var errThumbprint = errors.New("the certificate has another thumbprint")

func (l *lease) pull(ctx context.Context, u *upload, file types.HttpNfcLeaseSourceFile) types.BaseMethodFault {
	found := ""
	// A host has no authorities of its own to check a certificate by, and no proxy.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			if found = thumbprint(state.PeerCertificates[0].Raw); !strings.EqualFold(found, file.SslThumbprint) {
				return errThumbprint
			}
			return nil
		}}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, file.Url, nil)
	if err != nil {
		return &types.InvalidArgument{InvalidProperty: "files.url"}
	}
	for _, header := range file.HttpHeaders {
		request.Header.Set(header.Key, header.Value)
	}
	answer, err := client.Do(request)
	if errors.Is(err, errThumbprint) {
		return &types.SSLVerifyFault{Thumbprint: found}
	}
	if err != nil {
		return said(&types.HttpFault{}, "%v", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return said(&types.HttpFault{StatusCode: int32(answer.StatusCode), StatusMessage: answer.Status},
			"The web server answered %s.", answer.Status)
	}
	content, err := member(answer.Body, file.MemberName)
	if err == nil {
		err = l.receive(u, content)
	}
	if err != nil {
		return said(&types.SystemError{Reason: err.Error()}, "The transfer failed: %v", err)
	}
	return nil
}

// member is a file of an OVA that comes by, or all of it if no member is named.
func member(content io.Reader, name string) (io.Reader, error) {
	if name == "" {
		return content, nil
	}
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if err != nil {
			return nil, fmt.Errorf("%s is not in it: %w", name, err)
		}
		if strings.TrimPrefix(header.Name, "./") == name {
			return archive, nil
		}
	}
}

// thumbprint is written as vSphere writes it, in pairs of digits.
func thumbprint(certificate []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("% X", sha1.Sum(certificate)), " ", ":")
}
