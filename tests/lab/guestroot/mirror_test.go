package guestroot

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTheDebianArchiveIsFoundAmongAptsSources(t *testing.T) {
	for name, one := range map[string]struct {
		file, text, wanted string
	}{
		"one line": {"sources.list", "# deb http://commented/debian bookworm main\n" +
			"deb http://security.debian.org/debian-security bookworm-security main\n" +
			"deb [arch=amd64 signed-by=/k] https://mirror.example/debian/ trixie main contrib\n", "https://mirror.example/debian/"},
		"deb822 after others": {"sources.list.d/debian.sources", "Types: deb\nURIs: https://deb.nodesource.com/node_20.x\n" +
			"Suites: nodistro\nComponents: main\n\nTypes: deb deb-src\n# why\nURIs: http://proxy.example/debian\n" +
			"Suites: bookworm bookworm-updates\nComponents: main\n", "http://proxy.example/debian"},
		"switched off": {"sources.list.d/debian.sources", "Enabled: no\nTypes: deb\nURIs: http://proxy.example/debian\n" +
			"Suites: bookworm\nComponents: main\n", "http://deb.debian.org/debian"},
		"another distribution": {"sources.list", "deb http://archive.ubuntu.com/ubuntu noble main\n", "http://deb.debian.org/debian"},
	} {
		t.Run(name, func(t *testing.T) {
			apt := t.TempDir()
			if err := os.Mkdir(filepath.Join(apt, "sources.list.d"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(apt, one.file), []byte(one.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := mirrorOf(apt); got != one.wanted {
				t.Errorf("mirrorOf gives %s, wanted %s", got, one.wanted)
			}
		})
	}
}
