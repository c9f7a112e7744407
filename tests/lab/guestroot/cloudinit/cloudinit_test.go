package cloudinit

import "testing"

func TestUserDataEncodings(t *testing.T) {
	for encoding, text := range map[string]string{
		"": "hello", "b64": "aGVsbG8=", "gzip+base64": "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==",
	} {
		if got, err := decode([]byte(text), encoding); err != nil || string(got) != "hello" {
			t.Errorf("%s: %q, %v", encoding, got, err)
		}
	}
	if _, err := decode(nil, "rot13"); err == nil {
		t.Error("an unknown encoding was read")
	}
}
