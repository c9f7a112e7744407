package guestroot

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is one archive of apt's.
type source struct {
	uri        string
	suites     []string
	components []string
}

// mirrorOf gives the Debian archive that apt uses on this machine, which is often
// the only one that it can reach. It need not be the first in apt's sources, and
// on another distribution there is none.
func mirrorOf(apt string) string {
	for _, s := range sourcesOf(apt) {
		if s.isDebian() {
			return s.uri
		}
	}
	return "http://deb.debian.org/debian"
}

// isDebian tells the archive proper from its security updates and from other vendors'.
func (s source) isDebian() bool {
	parsed, err := url.Parse(s.uri)
	if err != nil || (parsed.Scheme != "http" && parsed.Scheme != "https") || !slices.Contains(s.components, "main") {
		return false
	}
	if !strings.Contains(parsed.Path, "/debian") || strings.Contains(parsed.Path, "security") {
		return false
	}
	return slices.ContainsFunc(s.suites, func(suite string) bool {
		return slices.Contains([]string{
			"bullseye", "bookworm", "trixie", "forky", "sid", "oldstable", "stable", "testing", "unstable",
		}, suite)
	})
}

// sourcesOf reads both of apt's formats.
func sourcesOf(apt string) []source {
	var found []source
	files := []string{filepath.Join(apt, "sources.list")}
	more, _ := filepath.Glob(filepath.Join(apt, "sources.list.d", "*"))
	for _, file := range append(files, more...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		switch filepath.Ext(file) {
		case ".list":
			found = append(found, oneLine(string(raw))...)
		case ".sources":
			found = append(found, paragraphs(string(raw))...)
		}
	}
	return found
}

// oneLine reads "deb [options] URI SUITE COMPONENT...".
func oneLine(text string) []source {
	var found []source
	for _, line := range strings.Split(text, "\n") {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, rest, _ = strings.Cut(rest, "]")
		}
		if f := strings.Fields(rest); len(f) >= 3 {
			found = append(found, source{uri: f[0], suites: f[1:2], components: f[2:]})
		}
	}
	return found
}

// paragraphs reads the deb822 format.
func paragraphs(text string) []source {
	var found []source
	for _, paragraph := range strings.Split(text, "\n\n") {
		fields := map[string][]string{}
		for _, line := range strings.Split(paragraph, "\n") {
			key, value, ok := strings.Cut(line, ":")
			if ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
				fields[strings.ToLower(key)] = strings.Fields(value)
			}
		}
		if !slices.Contains(fields["types"], "deb") || slices.Contains(fields["enabled"], "no") {
			continue
		}
		for _, uri := range fields["uris"] {
			found = append(found, source{uri: uri, suites: fields["suites"], components: fields["components"]})
		}
	}
	return found
}
