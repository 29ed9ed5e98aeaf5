package torture

import (
	"os"
	"testing"

	"github.com/sealdrop/sealdrop/internal/testbinary"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	if orders := os.Getenv(attackVariable); orders != "" {
		os.Exit(besiege(orders))
	}
	os.Exit(testbinary.Run(m, &binary))
}
