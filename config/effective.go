package config

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Effective returns the configuration that is in force, once as YAML, with the
// origin of each value in a comment, and once as nested maps and lists for JSON,
// under the same keys. It holds no secrets, because the configuration has none.
// Clients appear under clients whichever file declares them.
func (c *Config) Effective() (text []byte, value map[string]any, err error) {
	root, value := mapping(), make(map[string]any)
	for _, f := range settings() {
		node, below := root, value
		path := strings.Split(f.key, ".")
		for _, name := range path[:len(path)-1] {
			node, below = descend(node, name), descendMap(below, name)
		}
		name, v := path[len(path)-1], f.value.show(c)
		below[name] = v
		if err := put(node, name, v, c.origins[f.key]); err != nil {
			return nil, nil, err
		}
	}
	list, clients := &yaml.Node{Kind: yaml.SequenceNode}, make([]any, 0, len(c.Clients))
	for i := range c.Clients {
		node, v, err := c.Clients[i].effective()
		if err != nil {
			return nil, nil, err
		}
		list.Content, clients = append(list.Content, node), append(clients, v)
	}
	root.Content = append(root.Content, word("clients"), list)
	value["clients"] = clients

	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root); err != nil {
		return nil, nil, fmt.Errorf("writing the configuration as YAML: %w", err)
	}
	return b.Bytes(), value, nil
}

// effective shows the fields that a file declares; the others are the catalog's.
func (c *Client) effective() (*yaml.Node, map[string]any, error) {
	node, value := mapping(), make(map[string]any)
	for _, f := range clientFields() {
		at, declared := c.Declared[f.key]
		if !declared {
			continue
		}
		value[f.key] = f.value.show(c)
		if err := put(node, f.key, value[f.key], at); err != nil {
			return nil, nil, err
		}
	}
	if at, declared := c.Declared[expectsKey]; declared {
		value[expectsKey] = effectiveExpects(c.Expects)
		if err := put(node, expectsKey, value[expectsKey], at); err != nil {
			return nil, nil, err
		}
	}
	if at, declared := c.Declared[notifyKey]; declared {
		value[notifyKey] = EffectiveNotify(c.Notify)
		if err := put(node, notifyKey, value[notifyKey], at); err != nil {
			return nil, nil, err
		}
	}
	return node, value, nil
}

func mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode} }

func word(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

// put adds an entry with a comment to the mapping m.
func put(m *yaml.Node, name string, v any, comment string) error {
	n, err := flow(v)
	if err != nil {
		return fmt.Errorf("writing %s as YAML: %w", name, err)
	}
	n.LineComment = comment
	m.Content = append(m.Content, word(name), n)
	return nil
}

// flow makes the node of a value, a list on one line.
func flow(v any) (*yaml.Node, error) {
	n := new(yaml.Node)
	if err := n.Encode(v); err != nil {
		return nil, err
	}
	if n.Kind == yaml.SequenceNode {
		n.Style |= yaml.FlowStyle
		for _, c := range n.Content {
			// In a list on one line, texts such as :32 or ::/0 need their quotes.
			if c.Tag == "!!str" {
				c.Style |= yaml.DoubleQuotedStyle
			}
		}
	}
	return n, nil
}

// descend returns the mapping under name in m, made if it is not there.
func descend(m *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == name {
			return m.Content[i+1]
		}
	}
	below := mapping()
	m.Content = append(m.Content, word(name), below)
	return below
}

// descendMap is descend for plain maps.
func descendMap(m map[string]any, name string) map[string]any {
	below, ok := m[name].(map[string]any)
	if !ok {
		below = make(map[string]any)
		m[name] = below
	}
	return below
}
