package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fileZillaSettings keep FileZilla from greeting and from looking for updates. A
// file that is there is resumed (5). Two lists of files are all that is shown, so
// that each row's place is known.
const fileZillaSettings = `<?xml version="1.0"?>
<FileZilla3><Settings>
<Setting name="Greeting version">9.99.99</Setting>
<Setting name="Update Check">0</Setting>
<Setting name="Reconnect count">2</Setting>
<Setting name="File exists action download">5</Setting>
<Setting name="File exists action upload">5</Setting>
<Setting name="Show Tree Local">0</Setting>
<Setting name="Show Tree Remote">0</Setting>
<Setting name="Show message log">0</Setting>
<Setting name="Show queue">0</Setting>
</Settings></FileZilla3>
`

// fileZillaSite is an entry of the site manager. Logon type 5 is a key file, 1 a
// password.
const fileZillaSite = `<?xml version="1.0"?>
<FileZilla3><Servers><Server>
<Host>%s</Host><Port>%s</Port><Protocol>%d</Protocol><Type>0</Type>
<User>%s</User><Keyfile>%s</Keyfile><Pass encoding="base64">%s</Pass><Logontype>%d</Logontype><Name>gateway</Name>gateway
</Server></Servers></FileZilla3>
`

func fileZillaSFTP() program {
	return program{name: "FileZilla", version: debian("filezilla"), keyType: "rsa", alone: driveFileZilla}
}

func fileZillaFTP(mode) program { return fileZillaSFTP() }

// site is what the client enters in the site manager.
func (c *client) site() string {
	const password, keyFile, sftp = 1, 5, 1
	if c.at.protocol == "sftp" {
		return fmt.Sprintf(fileZillaSite, c.at.host, c.at.port, sftp, c.at.user, c.key+".ppk", "", keyFile)
	}
	protocol := map[mode]int{plain: 6, explicit: 4, implicit: 3}[c.at.mode]
	return fmt.Sprintf(fileZillaSite, c.at.host, c.at.port, protocol, c.at.user, "", base64.StdEncoding.EncodeToString([]byte(c.at.password)), password)
}

// driveFileZilla has FileZilla's own window do everything, by mouse and keyboard.
func driveFileZilla(c *client, can func(...column)) {
	c.g.sealdrop("deliver", "--client", c.id, c.write("Activity.csv", noise(4<<20)))
	c.g.sealdrop("deliver", "--client", c.id, "--name", unicodeName, c.write("report", []byte("a transfer")))
	if c.key != "" {
		c.run("", "puttygen", c.key, "-O", "private", "-o", c.key+".ppk")
	}
	display := xvfb(c.g.t)
	w := c.fileZilla(display, "local")
	w.downloads(can)
	w.uploads(can)
	w.changes(can)
	w.close()

	over6 := *c
	over6.at = c.over6()
	w = over6.fileZilla(display, "local6")
	const name = "Activity.csv.pgp"
	fetched, want := filepath.Join(w.local, name), c.files()[name].SHA256
	w.until("the report came over IPv6", func() { w.doubleClick(remoteList, 1) }, func() bool { return holds(fetched, want) })
	can(ipv6)
	w.close()
}

// downloads fetches what the remote list shows in its first and second row, below
// "..".
func (w *window) downloads(can func(...column)) {
	const name, unicode = "Activity.csv.pgp", unicodeName + ".pgp"
	files := w.c.files()
	fetched, want := filepath.Join(w.local, name), files[name].SHA256
	fetch := func() { w.doubleClick(remoteList, 1) }
	w.until("the report is fetched", fetch, func() bool { return holds(fetched, want) })
	can(list, download)
	want = cut(w.c.g.t, fetched)
	w.until("the download is resumed", fetch, func() bool { return holds(fetched, want) })
	can(resumeDownload)
	w.until(unicode+" is fetched", func() { w.doubleClick(remoteList, 2) }, func() bool {
		return holds(filepath.Join(w.local, unicode), files[unicode].SHA256)
	})
	can(utf8Name)
}

// uploads sends sent.bin, which is in the local list below the report by now. A name
// in .txt would make it text to FileZilla, which does not resume text over FTP.
func (w *window) uploads(can func(...column)) {
	const name = "sent.bin"
	send := func() { w.doubleClick(localList, 2) }
	data := noise(3 << 20)
	w.c.write("local/"+name, data[:1<<20])
	w.until("a file is uploaded", send, func() bool { return w.c.files()[name].Size == 1<<20 })
	can(upload)
	whole := bytes.Clone(data)
	whole[0] ^= 0xff // an upload that starts over brings this along
	w.c.write("local/"+name, whole)
	w.until("the upload is resumed", send, func() bool { return w.c.files()[name].Size == int64(len(data)) })
	w.c.mustHave(name, data)
	can(resumeUpload)
}

// changes renames and removes what is in the second row of the remote list, and
// makes and removes a folder, which is in the first while it is there.
func (w *window) changes(can func(...column)) {
	has := func(name string) func() bool {
		return func() bool { return w.c.files()[name].ID != "" }
	}
	w.until("the file is renamed", func() {
		w.click(remoteList, 2)
		w.do("key", "F2", "sleep", "0.2", "key", "ctrl+a", "type", "renamed.bin")
		w.do("key", "Return")
	}, has("renamed.bin"))
	can(rename)
	confirm := func() { w.do("key", "Delete", "sleep", "0.5", "key", "Return") }
	w.until("the file is removed", func() {
		w.click(remoteList, 2)
		confirm()
	}, func() bool { return !has("renamed.bin")() })
	can(remove)
	w.until("a folder is made", func() {
		w.do("mousemove", "590", "600", "click", "3", "sleep", "0.3", "key", "c", "sleep", "0.5", "type", "drawer")
		w.do("key", "Return")
	}, func() bool { return strings.Contains(w.c.listing(), "drawer") })
	w.until("the folder is removed", func() {
		w.click(remoteList, 1)
		confirm()
	}, func() bool { return !strings.Contains(w.c.listing(), "drawer") })
	can(folders)
}

// listing is what a program other than FileZilla sees in the folder.
func (c *client) listing() string {
	c.g.t.Helper()
	if c.at.protocol == "sftp" {
		return c.sftp("ls\n")
	}
	return curlFTP(c.at.mode).list(c)
}

// window is a FileZilla that is connected.
type window struct {
	c       *client
	display string
	local   string // the folder that its local list shows
	process *exec.Cmd
}

// The columns in a window of 1024×768.
const localList, remoteList = 60, 590

// fileZilla starts FileZilla and waits until it is logged in. It asks whether to
// trust the host key or the certificate, and warns of plain FTP; Return, to that
// window, says yes.
func (c *client) fileZilla(display, local string) *window {
	t := c.g.t
	t.Helper()
	w := &window{c: c, display: display, local: filepath.Join(c.home, local)}
	for _, dir := range []string{w.local, filepath.Join(c.home, ".config", "filezilla")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c.write(".config/filezilla/filezilla.xml", []byte(fileZillaSettings))
	c.write(".config/filezilla/sitemanager.xml", []byte(c.site()))
	c.write(filepath.Join(local, "sent.bin"), nil)
	t.Cleanup(func() {
		if t.Failed() {
			screenshot(t, display)
		}
		w.close()
	})
	// Now and then a window comes up that nobody answers, and another start helps.
	for range 4 {
		if w.logsIn() {
			return w
		}
		w.close()
	}
	t.Fatal("FileZilla did not log in")
	return nil
}

// logsIn starts FileZilla and reports whether it gets in.
func (w *window) logsIn() bool {
	w.process = w.on("filezilla", "--site=0/gateway", "--local="+w.local)
	if err := w.process.Start(); err != nil {
		w.c.g.t.Fatal(err)
	}
	login := fmt.Sprintf("msg=login event=login.allowed client=%s address=%s ", w.c.id, w.c.at.host)
	for deadline := time.Now().Add(45 * time.Second); time.Now().Before(deadline); time.Sleep(300 * time.Millisecond) {
		if strings.Contains(w.c.g.log.String(), login) {
			return true
		}
		_ = w.on("xdotool", "search", "--onlyvisible", "--name", "host key|certificate|insecure", "windowfocus", "key", "Return").Run()
	}
	return false
}

// on is a program on the window's display.
func (w *window) on(name string, args ...string) *exec.Cmd {
	cmd := w.c.command(name, args...)
	cmd.Env = append(cmd.Env, "DISPLAY="+w.display)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// do runs a chain of xdotool's commands.
func (w *window) do(commands ...string) {
	w.c.g.t.Helper()
	must(w.c.g.t, w.on("xdotool", commands...))
}

// click selects a row of a list. Row 0 is "..".
func (w *window) click(list, row int) { w.clicks(list, row, 1) }

func (w *window) doubleClick(list, row int) { w.clicks(list, row, 2) }

// clicks clicks into the void first: on a row that is selected already, a click
// means to edit its name.
func (w *window) clicks(list, row, times int) {
	x := fmt.Sprint(list)
	w.do("key", "Escape", "mousemove", x, "650", "click", "1",
		"mousemove", x, fmt.Sprint(217+23*row), "click", "--repeat", fmt.Sprint(times), "--delay", "80", "1")
}

// until acts on the window and waits for what should come of it. A window that was
// busy gets another chance.
func (w *window) until(what string, act func(), done func() bool) {
	w.c.g.t.Helper()
	for range 8 {
		act()
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
			if done() {
				time.Sleep(500 * time.Millisecond) // FileZilla shows it
				return
			}
		}
	}
	w.c.g.t.Fatalf("FileZilla did not bring about that %s", what)
}

func (w *window) close() {
	if w.process == nil {
		return
	}
	_ = w.process.Process.Kill()
	_ = w.process.Wait()
}

// holds reports whether a file is there and has the digest.
func holds(path, want string) bool {
	data, err := os.ReadFile(path)
	return err == nil && sha256Hex(data) == want
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
