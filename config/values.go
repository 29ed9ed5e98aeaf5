package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sealdrop/sealdrop/reports"
)

// Percent is a share of a whole, from 1 to 100.
type Percent int

// String prints p as it is written in the file: "25%".
func (p Percent) String() string { return strconv.Itoa(int(p)) + "%" }

// MarshalText implements [encoding.TextMarshaler].
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func parsePercent(text string) (Percent, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(text, "%"))
	if err != nil || n < 1 || n > 100 {
		return 0, bad(text, "is not a percentage", "write a whole number from 1% to 100%")
	}
	return Percent(n), nil
}

// maxCount is far above every sane limit and far below what overflows an int.
const maxCount = 1_000_000

func parseCount(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxCount {
		return 0, bad(text, "is not a count", fmt.Sprintf("write a whole number from 1 to %d", maxCount))
	}
	return n, nil
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, bad(text, "is neither true nor false", "")
}

// parsePeriod reads a length of time that something is to last: at least a
// second, since zero would mean "never" to one reader and "at once" to another.
func parsePeriod(text string) (Duration, error) {
	d, err := ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d.Std() < time.Second {
		return 0, bad(text, "is too short", "one second (1s) is the least")
	}
	return d, nil
}

func parseLevel(text string) (slog.Level, error) {
	switch text {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, bad(text, "is not a log level", "write debug, info, warn or error")
}

func parseFormat(text string) (string, error) {
	if text == "text" || text == "json" {
		return text, nil
	}
	return "", bad(text, "is not a log format", "write text or json")
}

// parsePath reads the name of a file or folder. A key pasted in place of the
// name of its file is refused without being quoted.
func parsePath(text string) (string, error) {
	if text == "" {
		return "", &valueError{"is empty", "name a file or folder"}
	}
	if isKey(text) {
		return "", &valueError{"is a key itself, where the name of its file is expected", "put the key into a file and name that"}
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return "", bad(text, "has characters that no path should have", "")
	}
	return text, nil
}

// parseOptionalPath is parsePath for a path that may be left empty.
func parseOptionalPath(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	return parsePath(text)
}

// parseID reads a client id; see [reports.ParseClientID].
func parseID(text string) (reports.ClientID, error) {
	id, err := reports.ParseClientID(text)
	if err == nil {
		return id, nil
	}
	hint := ""
	if lower, err := reports.ParseClientID(strings.ToLower(text)); err == nil {
		hint = "write " + lower.String()
	}
	return reports.ClientID{}, &valueError{err.Error(), hint}
}

// maxName bounds a client's display name, in bytes.
const maxName = 200

// ParseName reads a client's display name: one line that can stand in a log or
// a table as it is. Invisible characters are refused, because two names that
// look alike should be alike.
func ParseName(text string) (string, error) {
	if len(text) > maxName {
		return "", bad(text, fmt.Sprintf("has %d bytes, %d at most", len(text), maxName), "")
	}
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsGraphic(r) {
			return "", bad(text, fmt.Sprintf("has the character %U, which does not print", r), "write the name on one line")
		}
	}
	return text, nil
}

// ParseFTP reads how a client may use FTP.
func ParseFTP(text string) (string, error) {
	switch text {
	case "tls", "plain", "off":
		return text, nil
	}
	return "", bad(text, "is no way to use FTP", "write tls, plain or off")
}

// parseListen reads the address of a listener, "host:port", and returns it in
// one form, so that two spellings of one address compare equal. The host is
// empty (every address of the machine) or an IP address; port 0 lets the system
// choose.
func parseListen(text string) (string, error) {
	const form = `write ":32", "192.0.2.7:32" or "[2001:db8::7]:32"`
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", bad(text, "is not host:port", listenHint(text, form))
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", bad(text, "has no port number from 0 to 65535", form)
	}
	port = strconv.FormatUint(n, 10)
	if host == "" {
		return ":" + port, nil
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "*":
		return "", bad(text, "has a * for the host", `for every address of this machine write ":`+port+`"`)
	case host == "localhost":
		return "", bad(text, "has a name for the host", `write "127.0.0.1:`+port+`" or "[::1]:`+port+`"`)
	case err != nil:
		return "", bad(text, "has a host that is not an IP address; names are not looked up", form)
	}
	if addr == netip.IPv6Unspecified() {
		return ":" + port, nil
	}
	return net.JoinHostPort(addr.Unmap().String(), port), nil
}

// listenHint guesses what was meant by a text that is not host:port.
func listenHint(text, form string) string {
	if _, err := strconv.ParseUint(text, 10, 16); err == nil {
		return fmt.Sprintf(`for every address of this machine write ":%s"`, text)
	}
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return fmt.Sprintf("add the port: %q", net.JoinHostPort(addr.String(), "32"))
	}
	return form
}
