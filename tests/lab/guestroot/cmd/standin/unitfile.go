package main

import (
	"strconv"
	"strings"
	"time"
)

// unitFile is systemd's ini dialect: values by "Section.Key", in order.
type unitFile map[string][]string

func parseUnit(text string) unitFile {
	file, section := unitFile{}, ""
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
		default:
			key, value, _ := strings.Cut(line, "=")
			name := section + "." + strings.TrimSpace(key)
			if value = strings.TrimSpace(value); value == "" {
				delete(file, name) // an empty assignment resets a list
			} else {
				file[name] = append(file[name], value)
			}
		}
	}
	return file
}

func (f unitFile) all(section, key string) []string { return f[section+"."+key] }

func (f unitFile) last(section, key string) string {
	values := f.all(section, key)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// seconds reads a time span: a plain number is seconds.
func (f unitFile) seconds(section, key string, otherwise time.Duration) time.Duration {
	text := f.last(section, key)
	if text == "" {
		return otherwise
	}
	if text == "infinity" {
		return 24 * time.Hour
	}
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		return time.Duration(n * float64(time.Second))
	}
	if d, err := time.ParseDuration(strings.NewReplacer("min", "m", " ", "").Replace(text)); err == nil {
		return d
	}
	return otherwise
}

// words splits a command or an assignment list as systemd does, quotes included.
func words(text string) []string {
	var out []string
	var word strings.Builder
	var quote rune
	inside := false
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, inside = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			if inside {
				out = append(out, word.String())
				word.Reset()
				inside = false
			}
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if inside {
		out = append(out, word.String())
	}
	return out
}
