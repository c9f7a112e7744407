package mark

import (
	"fmt"
	"os"
	"testing"
)

func TestMarks(t *testing.T) {
	own := Own()
	if Abandoned(own) {
		t.Errorf("%s is this very process's", own)
	}
	if other := Own(); other == own {
		t.Errorf("two marks are %s", own)
	}
	// The same pid, of a process that started at another time.
	if gone := fmt.Sprintf("%d-1-ABCDEF", os.Getpid()); !Abandoned(gone) {
		t.Errorf("%s is not abandoned", gone)
	}
	for _, foreign := range []string{"", "true", "12", "a-b-c"} {
		if Abandoned(foreign) {
			t.Errorf("%q is no mark", foreign)
		}
	}
}
