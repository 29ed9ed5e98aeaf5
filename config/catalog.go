package config

import (
	"net/url"
)

// Catalog is the section catalog.
type Catalog struct {
	// URL names a database of a PostgreSQL server; it holds no password. "" is
	// the embedded catalog in the data folder.
	URL string
	// PasswordFile is the path of a file with the server's password, or "".
	// Load does not open it.
	PasswordFile string
}

func catalogSettings() []field[Config] {
	return []field[Config]{{
		key: "catalog.url", kind: "URL", def: "",
		doc:   "PostgreSQL database that holds the catalog: postgres://USER@HOST:PORT/DATABASE, or postgres:///DATABASE?host=/run/postgresql for a socket. Its encoding must be UTF8 and its locale C. Over a network the connection is encrypted and the server's certificate checked, unless the URL has another sslmode. Empty: the file catalog.db in the data folder.",
		value: one(func(c *Config) *string { return &c.Catalog.URL }, parseCatalogURL),
	}, {
		key: "catalog.password_file", kind: "path", def: "",
		doc:   "File with the password of the URL's user, on one line. Empty: what PGPASSWORD or ~/.pgpass says, if the server asks at all.",
		value: one(func(c *Config) *string { return &c.Catalog.PasswordFile }, parseOptionalPath),
	}}
}

// parseCatalogURL reads a URL without a password. It is never quoted, since it
// may have one.
func parseCatalogURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", &valueError{"is not a PostgreSQL URL", "write postgres://USER@HOST:PORT/DATABASE"}
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") {
		return "", &valueError{"has a password in it", "put the password into a file of its own, and name that in catalog.password_file"}
	}
	return text, nil
}
