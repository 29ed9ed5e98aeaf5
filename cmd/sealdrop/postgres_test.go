package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sealdrop/sealdrop/internal/database/postgrestest"
)

// TestScriptsOnPostgres runs the scripts of testdata/postgres as [TestScripts]
// runs its own, each with an empty database of its own in SEALDROP_CATALOG_URL.
func TestScriptsOnPostgres(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/postgres/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	params := scripts(t, "")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			server := postgrestest.New(t, postgrestest.Template{})
			p := params
			p.Files = []string{file}
			p.Setup = func(env *testscript.Env) error {
				env.Setenv("SEALDROP_CATALOG_URL", server.URL)
				return params.Setup(env)
			}
			testscript.Run(t, p)
		})
	}
}
