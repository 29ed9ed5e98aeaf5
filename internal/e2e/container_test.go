package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sealdrop/sealdrop/config"
)

// TestImageRunsAsItsDockerfileSays runs what deploy/container/Dockerfile makes: its root,
// read-only, as its user, with a volume, its configuration and its health check. That
// is by chroot, and needs no container engine; what an engine adds is not tested.
func TestImageRunsAsItsDockerfileSays(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("a root of its own takes root")
	}
	dockerfile, err := os.ReadFile("../../deploy/container/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	user := regexp.MustCompile(`(?m)^USER (\d+:\d+)$`).FindStringSubmatch(string(dockerfile))
	check := regexp.MustCompile(`HEALTHCHECK .*CMD (\[.*\])`).FindStringSubmatch(string(dockerfile))
	if user == nil || check == nil {
		t.Fatal("the Dockerfile has no USER or no HEALTHCHECK")
	}
	var health []string
	if err := json.Unmarshal([]byte(check[1]), &health); err != nil {
		t.Fatal(err)
	}

	outside, err := os.MkdirTemp("/tmp", "image") // whose folders other users may pass
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(outside) })
	root := filepath.Join(outside, "root")
	for _, dir := range []string{"root/etc/sealdrop", "root/var/lib/sealdrop", "root/run/sealdrop", "data", "run"} {
		must(t, exec.Command("mkdir", "-p", filepath.Join(outside, dir)))
	}
	must(t, exec.Command("chmod", "0755", outside))
	must(t, exec.Command("chown", user[1], filepath.Join(outside, "data"), filepath.Join(outside, "run")))
	must(t, exec.Command("cp", binary, filepath.Join(root, "sealdrop")))
	must(t, exec.Command("cp", "../../deploy/container/config.yaml", filepath.Join(root, "etc/sealdrop/config.yaml")))
	inside := func(args ...string) *exec.Cmd {
		const script = `mount --bind root root && mount -o remount,bind,ro root && mount --bind data root/var/lib/sealdrop && mount --bind run root/run/sealdrop
			user=$1; shift; exec chroot --userspec="$user" root "$@"`
		cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-ec", script, "sh", user[1]}, args...)...)
		cmd.Dir = outside
		cmd.Env = []string{"SEALDROP_CONFIG=/etc/sealdrop/config.yaml", "SEALDROP_SFTP_LISTEN=127.0.0.1:0"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		return cmd
	}
	must(t, inside("/sealdrop", "init", "--dir", "/etc/sealdrop"))
	log := &lockedBuffer{}
	serve := inside("/sealdrop", "serve")
	serve.Stderr = log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Signal(syscall.SIGTERM)
		_ = serve.Wait()
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", log)
		}
	})
	eventually(t, "the gateway listens", func() bool { return strings.Contains(log.String(), `"protocol":"ops"`) })
	if out := must(t, inside(health...)); !strings.Contains(string(out), "catalog") {
		t.Errorf("the health check says %s", out)
	}
	must(t, inside("/sealdrop", "client", "add", "acme", "--allow", "127.0.0.1"))
	if err := inside("/sealdrop", "init", "--dir", "/etc/other").Run(); err == nil {
		t.Error("the root can be written")
	}
}

// TestManifestsConfigurationsAreGood: the image's and the cluster's are one.
func TestManifestsConfigurationsAreGood(t *testing.T) {
	t.Parallel()
	var texts []string
	for _, file := range []string{"../../deploy/container/config.yaml", "../../deploy/kubernetes/config.yaml"} {
		if _, err := config.Load(file, nil); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if texts[0] != texts[1] {
		t.Error("the two differ")
	}
}
