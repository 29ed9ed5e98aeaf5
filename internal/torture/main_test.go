package torture

import (
	"os"
	"testing"

	"github.com/sealdrop/sealdrop/internal/testbinary"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(testbinary.Run(m, &binary)) }
