package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine is the longest line of JSON in bytes.
const maxLine = 64 << 10

// readJSON reads a manifest of one JSON object per line.
func readJSON(in *bufio.Reader, c *checker) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	number := 0
	for lines.Scan() {
		number++
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		rec, err := parseObject(text)
		if err != nil {
			c.faults.add(number, "", err)
			continue
		}
		if err := c.add(number, rec); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("line %d is longer than %d KiB", number+1, maxLine>>10)
	}
	return lines.Err()
}

var errNotObject = errors.New(`is not a JSON object of texts, such as {"client":"acme","file":"out/0001.csv"}`)

// parseObject reads an object whose values are texts. Package json would take the
// last of two equal keys and pass over the case of letters; which client is meant
// must not hang on that.
func parseObject(text []byte) (rec record, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return rec, errNotObject
	}
	there := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return rec, errNotObject
		}
		name, _ := key.(string) // a key is one
		value, err := dec.Token()
		if err != nil {
			return rec, errNotObject
		}
		s, isText := value.(string)
		switch {
		case !isText && value != nil: // null: not given
			return rec, fmt.Errorf("the value of %q is no text", name)
		case there[name]:
			return rec, fmt.Errorf("%q is there twice", name)
		case !rec.set(name, s):
			return rec, fmt.Errorf("there is no field %q; the fields are %s", name, fields)
		}
		there[name] = true
	}
	if _, err := dec.Token(); err != nil {
		return rec, errNotObject
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return rec, errors.New("has more than one JSON object")
	}
	return rec, nil
}
