package guestroot

import (
	"context"
	"embed"
	"io"
	"runtime"

	"bonneville.vsphere/lab/program"
)

//go:embed wire cloudinit cmd/vmtools
var toolsSources embed.FS

// VMTools builds what guests of kind vm have instead of VMware Tools and cloud-init,
// and gives the file, whose name holds the hash of its sources.
func VMTools(ctx context.Context, cache string, progress io.Writer) (string, error) {
	return program.Build(ctx, program.Program{
		Name: "vmtools", Sources: toolsSources, At: "guestroot", Main: "cmd/vmtools", Arch: runtime.GOARCH,
	}, cache, progress)
}
