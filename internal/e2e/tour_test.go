package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// waitForPort is what a person does without thinking.
const waitForPort = `until port=$(grep -o 'protocol=sftp address=.*' serve.log) && port=${port##*:}; do kill -0 %1; sleep 0.05; done
`

// TestTheTourIsTrue runs the commands of the README's tour as they are written there, but for the port and
// for building the program. A person confirms the host key, and stops the gateway at the end.
func TestTheTourIsTrue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tour, found := strings.Cut(string(text), "\n## Five minutes")
	tour, _, ended := strings.Cut(tour, "\n## ")
	if !found || !ended {
		t.Fatal("the README has no tour, or nothing after it")
	}
	commands := ""
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(tour, -1) {
		commands += m[1]
	}
	for was, is := range map[string]string{
		"make build\n":                    "",
		`export PATH="$PWD/bin:$PATH"`:    "",
		"127.0.0.1:3232":                  "127.0.0.1:0",
		"sftp -P 3232":                    "sftp -P $port",
		"sealdrop serve 2> serve.log &\n": "sealdrop serve 2> serve.log &\n" + waitForPort,
	} {
		if !strings.Contains(commands, was) {
			t.Fatalf("the tour does not have %q any more", was)
		}
		commands = strings.ReplaceAll(commands, was, is)
	}
	// Two commands tell by their exit status what the text says that they do.
	for command, status := range map[string]int{"sealdrop why ": 1, "sealdrop status\n": 3} {
		at := strings.Index(commands, "\n"+command)
		if at < 0 {
			t.Fatalf("the tour has no %q any more", command)
		}
		line, rest, _ := strings.Cut(commands[at+1:], "\n")
		line, _, _ = strings.Cut(line, " #")
		commands = fmt.Sprintf("%s\nstatus=0; %s || status=$?; [ $status = %d ]\n%s", commands[:at], line, status, rest)
	}
	home := shortDir(t)
	yes := filepath.Join(home, "yes")
	if err := os.WriteFile(yes, []byte("#!/bin/sh\necho yes\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "-e", "-u", "-x", "-o", "pipefail", "-c", "trap 'kill %1; wait; gpgconf --kill all' EXIT\n"+commands)
	cmd.Env = []string{
		"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8",
		"SSH_ASKPASS=" + yes, "SSH_ASKPASS_REQUIRE=force",
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, promised := range []string{"the same, byte for byte", "collected", "address-not-allowed"} {
		if !strings.Contains(string(out), promised) {
			t.Errorf("the tour does not show %q:\n%s", promised, out)
		}
	}
}
