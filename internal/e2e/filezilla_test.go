package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fileZillaSettings keep FileZilla from greeting, from looking for updates, and
// from asking what to do with a file that is there.
const fileZillaSettings = `<?xml version="1.0"?>
<FileZilla3><Settings>
<Setting name="Greeting version">9.99.99</Setting>
<Setting name="Update Check">0</Setting>
<Setting name="Reconnect count">2</Setting>
</Settings></FileZilla3>
`

// fileZillaSite is a site with the logon type "key file" (5), over SFTP (1).
const fileZillaSite = `<?xml version="1.0"?>
<FileZilla3><Servers><Server>
<Host>127.0.0.1</Host><Port>%s</Port><Protocol>1</Protocol><Type>0</Type>
<User>acme</User><Keyfile>%s</Keyfile><Logontype>5</Logontype><Name>gateway</Name>gateway
</Server></Servers></FileZilla3>
`

// TestFileZilla drives FileZilla's own window: it connects with a key file, the
// report in its remote list is fetched by a double click, and the file in its
// local list is uploaded by another.
func TestFileZilla(t *testing.T) {
	t.Parallel()
	g := start(t, "127.0.0.1")
	c := g.client("acme", "rsa", "127.0.0.1")
	c.g.sealdrop("deliver", "--client", c.id, c.write("Activity.csv", noise(300_000)))

	config, local := filepath.Join(c.home, ".config", "filezilla"), filepath.Join(c.home, "local")
	for _, dir := range []string{config, local} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c.run("", "puttygen", c.key, "-O", "private", "-o", c.key+".ppk")
	c.write(".config/filezilla/filezilla.xml", []byte(fileZillaSettings))
	c.write(".config/filezilla/sitemanager.xml", []byte(fmt.Sprintf(fileZillaSite, g.port, c.key+".ppk")))
	upload := []byte("sent by FileZilla")
	c.write("local/sent.txt", upload)

	display := xvfb(t)
	ui := func(name string, args ...string) *exec.Cmd {
		cmd := c.command(name, args...)
		cmd.Env = append(cmd.Env, "DISPLAY="+display)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	fz := ui("filezilla", "--site=0/gateway", "--local="+local)
	if err := fz.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			screenshot(t, display)
		}
		_ = fz.Process.Kill()
		_ = fz.Wait()
	})

	// It asks whether it knows the host key; Return, to that window, says yes.
	eventually(t, "FileZilla logs in", func() bool {
		if strings.Contains(g.log.String(), "FileZilla") {
			return true
		}
		_ = ui("xdotool", "search", "--onlyvisible", "--name", "host key", "windowfocus", "key", "Return").Run()
		time.Sleep(500 * time.Millisecond)
		return false
	})
	// Where the files below ".." stand in a window of 1024×768.
	const firstRow, secondRow, localColumn, remoteColumn = 441, 464, 60, 590
	doubleClick := func(x, y int) {
		_ = ui("xdotool", "mousemove", fmt.Sprint(x), fmt.Sprint(y), "click", "--repeat", "2", "--delay", "80", "1").Run()
		time.Sleep(1500 * time.Millisecond)
	}
	eventually(t, "FileZilla has fetched the report", func() bool {
		if info, err := os.Stat(filepath.Join(local, "Activity.csv.pgp")); err == nil && info.Size() == c.files()["Activity.csv.pgp"].Size {
			return true
		}
		doubleClick(remoteColumn, firstRow)
		return false
	})
	if got := digest(t, filepath.Join(local, "Activity.csv.pgp")); got != c.files()["Activity.csv.pgp"].SHA256 {
		t.Errorf("it fetched %s", got)
	}
	// In the local list the fetched report has taken the first row.
	eventually(t, "FileZilla has uploaded a file", func() bool {
		if _, there := c.files()["sent.txt"]; there {
			return true
		}
		doubleClick(localColumn, secondRow)
		return false
	})
	c.mustHave("sent.txt", upload)
}

// xvfb starts an X server that draws into memory, and returns its display.
func xvfb(t *testing.T) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1024x768x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var number int
	if _, err := fmt.Fscan(r, &number); err != nil {
		t.Fatalf("Xvfb did not start: %v", err)
	}
	return fmt.Sprintf(":%d", number)
}

// screenshot saves what the display shows, for whoever looks into a failure.
func screenshot(t *testing.T, display string) {
	file := filepath.Join(os.TempDir(), "sealdrop-filezilla.png")
	cmd := exec.Command("import", "-window", "root", file)
	cmd.Env = append(os.Environ(), "DISPLAY="+display)
	if err := cmd.Run(); err == nil {
		t.Logf("a picture of the window is in %s", file)
	}
}
