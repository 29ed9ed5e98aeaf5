package main

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sealdrop/sealdrop/config"
	"github.com/sealdrop/sealdrop/internal/certificate"
	"github.com/sealdrop/sealdrop/internal/database"
	"github.com/sealdrop/sealdrop/internal/keytext"
	"github.com/sealdrop/sealdrop/internal/systemd"
	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/keys/pgp"
	"github.com/sealdrop/sealdrop/reports"
	"github.com/sealdrop/sealdrop/reports/blob"
	"github.com/sealdrop/sealdrop/reports/catalog"
	"github.com/sealdrop/sealdrop/reports/publish"
	"github.com/sealdrop/sealdrop/retention"
	"github.com/sealdrop/sealdrop/server/access"
	"github.com/sealdrop/sealdrop/server/folder"
)

// The data folder's parts.
func blobsDir(data string) string    { return filepath.Join(data, "blobs") }
func ownKeysDir(data string) string  { return filepath.Join(data, "keys") }
func hostKeysDir(data string) string { return filepath.Join(data, "hostkeys") }

// remember is how long a delivery is recognised when it is made again, whether
// or not its report is still there.
const remember = 2 * 365 * 24 * time.Hour

// gateway is the opened data folder with everything that works on it.
type gateway struct {
	config    *config.Config
	environ   []string // with what the command line overrides
	log       *slog.Logger
	db        *database.DB
	register  *keys.Register
	catalog   *catalog.Catalog
	blobs     *blob.Dir
	gate      *access.Gate
	own       keys.Own
	publisher *publish.Publisher
	sweeper   *retention.Sweeper

	// What the admin listener tells of. servedCertificates are those in use, by protocol;
	// hostKeys counts by algorithm.
	place              database.Place
	servedCertificates map[string]*certificate.File
	hostKeys           atomic.Pointer[map[string]int]
	observeTransfer    func(folder.Transfer) // nil: nobody wants to know

	// What `serve` has of systemd, by protocol: handed over, and not yet served.
	manager         *systemd.Notifier
	handed, sockets map[string][]net.Listener
	stopping        atomic.Bool
	setHostKeys     func(serving, next []ssh.Signer) error
}

// loadConfig reads the configuration that --config, the environment or the
// default places name.
func (a *app) loadConfig() (*config.Config, error) { return a.loadConfigWith(os.Environ()) }

func (a *app) loadConfigWith(environ []string) (*config.Config, error) {
	path := a.configPath
	if path == "" {
		path = os.Getenv("SEALDROP_CONFIG")
	}
	if path == "" {
		found, err := config.Find()
		if err != nil {
			return nil, err
		}
		path = found
	}
	return config.Load(path, environ)
}

// open loads the configuration and opens the data folder. The caller closes it.
func (a *app) open(ctx context.Context) (*gateway, error) {
	cfg, err := a.loadConfig()
	if err != nil {
		return nil, err
	}
	return openGateway(ctx, cfg, a.logger(cfg))
}

func (a *app) logger(cfg *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Log.Level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.err, options))
	}
	return slog.New(slog.NewTextHandler(a.err, options))
}

// advisedError is an error with what to do about it.
type advisedError struct {
	err    error
	advice string
}

func (e *advisedError) Error() string { return e.err.Error() }
func (e *advisedError) Unwrap() error { return e.err }
func (e *advisedError) Hint() string  { return e.advice }

func openGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (g *gateway, err error) {
	if cfg.EdgeOnly() {
		return nil, &advisedError{
			err:    errors.New("this host is an edge (roles), which has none of the keys that this command needs"),
			advice: "run the command on the intake host; `sealdrop serve` and `sealdrop health` are an edge's",
		}
	}
	if fips140.Enforced() {
		return nil, &advisedError{
			err:    errors.New("GODEBUG=fips140=only allows no OpenPGP, whose keys and messages are made with SHA-1 and CFB"),
			advice: "use GODEBUG=fips140=on here; an edge, which only passes on what is sealed, runs with fips140=only",
		}
	}
	if _, err := os.Stat(ownKeysDir(cfg.Data)); errors.Is(err, fs.ErrNotExist) {
		return nil, notSetUp(ctx, cfg, err)
	}
	if err := checkUser(cfg.Data); err != nil {
		return nil, err
	}
	place, err := catalogPlace(cfg)
	if err != nil {
		return nil, err
	}
	if err := checkData(ctx, cfg.Data, place); err != nil {
		return nil, err
	}
	own, err := keys.LoadOwn(ownKeysDir(cfg.Data))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, keysGone(cfg.Data, err)
	}
	if err != nil {
		return nil, err
	}
	escrow, err := readRecipients("sealing.escrow", cfg.Sealing.Escrow)
	if err != nil {
		return nil, err
	}
	g = newGateway(cfg, log, place)
	g.own = own
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
			g = nil
		}
	}()
	if g.db, err = openCatalog(ctx, place, own); err != nil {
		return g, err
	}
	if g.blobs, err = blob.OpenDir(blobsDir(cfg.Data)); err != nil {
		return g, err
	}
	g.overCatalog(access.Everybody)
	g.publisher = publish.New(publish.Config{
		Register: g.register, Catalog: g.catalog, Blobs: g.blobs, Own: own, Escrow: escrow, Sign: cfg.Sealing.Sign,
		Compress: cfg.Sealing.Compress, Retention: cfg.Retention.After.Std(), Now: now, Log: log,
	})
	g.sweeper = retention.New(retention.Config{
		Catalog: g.catalog, Blobs: g.blobs,
		Policy: retention.Policy{MaxShare: int(cfg.Retention.MaxShare), MaxGap: cfg.Retention.MaxGap.Std()},
		Every:  cfg.Retention.Sweep.Std(), Grace: cfg.Retention.Grace.Std(), KeepInterrupted: cfg.SFTP.KeepInterrupted.Std(),
		Remember: remember, Now: now, Log: log,
	})
	return g, nil
}

// notSetUp says what is wrong with a data folder that has no folder of keys. Where there is
// a catalog, there were keys.
func notSetUp(ctx context.Context, cfg *config.Config, missing error) error {
	if place, err := catalogPlace(cfg); err == nil {
		if used, err := place.Exists(ctx); err == nil && used {
			return keysGone(cfg.Data, missing)
		}
	}
	return &advisedError{
		err:    fmt.Errorf("the data folder %s is not there, or was never set up", cfg.Data),
		advice: fmt.Sprintf("run `sealdrop init --dir %s`, or correct `data` in %s", filepath.Dir(cfg.File), cfg.File),
	}
}

// keysGone says that a data folder which is in use lacks keys of its own.
func keysGone(data string, missing error) error {
	if path := new(fs.PathError); errors.As(missing, &path) {
		missing = fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return &advisedError{
		err:    fmt.Errorf("the gateway's own keys are gone: %w", missing),
		advice: fmt.Sprintf("restore %s from a backup; new keys could not release what is held for the old ones", ownKeysDir(data)),
	}
}

func newGateway(cfg *config.Config, log *slog.Logger, place database.Place) *gateway {
	return &gateway{
		config: cfg, environ: os.Environ(), log: log,
		place: place, servedCertificates: map[string]*certificate.File{},
	}
}

// overCatalog makes what needs the catalog and nothing else.
func (g *gateway) overCatalog(serves access.Audience) {
	cfg := g.config
	g.register = keys.NewRegister(g.db, now).WithPolicy(keys.Policy{TwoPerson: cfg.Keys.TwoPerson(), SSHMaxAge: cfg.Keys.SSHMaxAge.Std()})
	g.catalog = catalog.New(g.db, now).WithQuota(reports.Quota{Bytes: int64(cfg.Quota.Bytes), Files: int64(cfg.Quota.Files)})
	g.gate = access.New(access.Config{
		DB: g.db, Register: g.register, Now: now, Log: g.log, SessionsPerClient: cfg.SFTP.Limits.SessionsPerClient,
		PlainFTP: cfg.FTP.TLS.Mode != "required", Learn: cfg.Access.Learn, Serves: serves,
		Failures: cfg.Access.Failures, Window: cfg.Access.Window.Std(), Ban: cfg.Access.Ban.Std(),
	})
}

// checkData refuses a data folder that is not what init made: without its catalog
// a new one would begin, to which every report there is belongs to nobody; and
// where others can write, they can put their own keys in the place of ours.
func checkData(ctx context.Context, data string, place database.Place) error {
	there, err := place.Exists(ctx)
	if err != nil {
		return err
	}
	if !there {
		return &advisedError{
			err:    fmt.Errorf("the catalog %s is gone or empty", place),
			advice: "restore it from a backup; if the data folder was never in use, run `sealdrop init` once more",
		}
	}
	for _, path := range []string{data, ownKeysDir(data), hostKeysDir(data), place.File()} {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // host keys may be elsewhere, and so may the catalog
		}
		if err != nil {
			return err
		}
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			return &advisedError{
				err:    fmt.Errorf("%s can be written by others (mode %04o)", path, mode),
				advice: "chmod go-w " + path,
			}
		}
	}
	return nil
}

// Close closes the data folder.
func (g *gateway) Close() error {
	var errs []error
	if g.blobs != nil {
		errs = append(errs, g.blobs.Close())
	}
	if g.db != nil {
		errs = append(errs, g.db.Close())
	}
	return errors.Join(errs...)
}

// readRecipients reads the PGP keys of a file that an operator named, with what it is
// for; there are none if no file is named.
func readRecipients(what, path string) ([]pgp.Certificate, error) {
	if path == "" {
		return nil, nil
	}
	data, err := keytext.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, err)
	}
	// An unusable key is refused here: sealing for it would fail report by report.
	found, err := keys.Read(data, now())
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", what, path, err)
	}
	for _, k := range found {
		if k.Kind != keys.PGP {
			return nil, &advisedError{
				err:    fmt.Errorf("%s %s is an SSH key; what is sealed is sealed to PGP keys", what, path),
				advice: "export one with `gpg --armor --export NAME`",
			}
		}
	}
	return pgp.Parse(data)
}

// declarations puts the declared clients into the register's terms.
func declarations(clients []config.Client) []keys.Declaration {
	list := make([]keys.Declaration, 0, len(clients))
	for _, c := range clients {
		d := keys.Declaration{ID: c.ID, Places: c.Declared}
		if _, ok := c.Declared[keys.FieldName]; ok {
			d.Change.Name = &c.Name
		}
		if _, ok := c.Declared[keys.FieldAllow]; ok {
			d.Change.Allow = &c.Allow
		}
		if _, ok := c.Declared[keys.FieldDeliversTo]; ok {
			d.Change.DeliversTo = declaredReach(c.DeliversTo)
		}
		if _, ok := c.Declared[keys.FieldRetention]; ok {
			kept := c.Retention.Std()
			d.Change.Retention = &kept
		}
		if _, ok := c.Declared[keys.FieldDisabled]; ok {
			d.Change.Disabled = &c.Disabled
		}
		if _, ok := c.Declared[keys.FieldFTP]; ok {
			mode := keys.FTPMode(c.FTP)
			d.Change.FTP = &mode
		}
		if _, ok := c.Declared[keys.FieldQuota]; ok {
			bytes := int64(c.Quota)
			d.Change.QuotaBytes = &bytes
		}
		if _, ok := c.Declared[keys.FieldQuotaFiles]; ok {
			files := int64(c.QuotaFiles)
			d.Change.QuotaFiles = &files
		}
		if _, ok := c.Declared[keys.FieldNotify]; ok {
			d.Change.Notify = &c.Notify
		}
		list = append(list, d)
	}
	return list
}
