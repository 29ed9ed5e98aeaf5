package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sealdrop/sealdrop/keys"
	"github.com/sealdrop/sealdrop/reports/notify"
	"github.com/sealdrop/sealdrop/reports/notify/contact"
)

func (a *app) notifyCommand() *cobra.Command {
	return group("notify", "test, list and retry messages to clients and operators", `Clients are told of what concerns them by email, by webhook or by text message: that
reports are there, that a key expires, that something about their access changed. A
message is a summary and never has a report in it; the names of reports only if the
client wants them (--show-names).

Whom to tell is set with "sealdrop client set ID --contact …"; the ways that messages
go, in the section notify of the configuration. A message that can't be handed over is
tried again for three days (notify.retry) and then given up: it is "dead", and shown
until it is retried.`,
		a.notifyTest(), a.notifyList(), a.notifyRetry(), a.notifyEvents(), a.notifySecret())
}

// testView is what became of a test message.
type testView struct {
	Contact string `json:"contact"`
	Sent    bool   `json:"sent"`
	Answer  string `json:"answer,omitempty"`
	Error   string `json:"error,omitempty"`
}

func (a *app) notifyTest() *cobra.Command {
	var client, channel string
	cmd := &cobra.Command{
		Use: "test {--client ID | --operators} [--channel CHANNEL]", Short: "send a test message now, and say what the other side answered",
		Long: `Sends a message that says nothing but that messages arrive, to all contacts of the
client or to those of one channel, at once and once. It says what the mail server or
the receiver answered.`,
		Example: "  sealdrop notify test --client acme\n  sealdrop notify test --client acme --channel webhook\n  sealdrop notify test --operators",
		Args:    arguments(),
	}
	var operators bool
	cmd.Flags().StringVar(&client, "client", "", "the client's `ID`")
	cmd.Flags().BoolVar(&operators, "operators", false, "test the addresses of notify.operators instead")
	cmd.Flags().StringVar(&channel, "channel", "", "only this one: email, webhook or sms")
	cmd.MarkFlagsOneRequired("client", "operators")
	cmd.MarkFlagsMutuallyExclusive("client", "operators")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if channel != "" && !slices.Contains(contact.Channels(), contact.Channel(channel)) {
			return usagef(cmd, "--channel is %q; it can be email, webhook or sms", channel)
		}
		who := keys.Client{}
		if !operators {
			id, err := clientArg(cmd, client)
			if err != nil {
				return err
			}
			who.ID = id
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) (err error) {
			if operators {
				who.Notify.Contacts = g.config.Notify.Operators
			} else if who, err = g.register.Client(ctx, who.ID); err != nil {
				return err
			}
			return a.testContacts(ctx, g, who, contact.Channel(channel))
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

// testContacts sends a test message to each contact of a channel, or of all.
func (a *app) testContacts(ctx context.Context, g *gateway, c keys.Client, channel contact.Channel) error {
	channels, err := g.channels()
	if err != nil {
		return err
	}
	if c.Notify.Timezone.IsZero() {
		c.Notify.Timezone = g.config.Notify.Timezone
	}
	list := []testView{}
	var failed []error
	for _, to := range c.Notify.Contacts {
		if channel != "" && to.Channel() != channel {
			continue
		}
		within, cancel := context.WithTimeout(ctx, g.config.Notify.Timeout.Std())
		answer, err := channels.SendTest(within, c.ID.String(), c.Name, c.Notify, to, now())
		cancel()
		v := testView{Contact: to.Key(), Sent: err == nil, Answer: answer}
		if err != nil {
			v.Error = err.Error()
			failed = append(failed, testFault(c, to, err))
		}
		list = append(list, v)
	}
	if len(list) == 0 {
		return a.nobodyToTest(c, channel)
	}
	err = a.show(list, func(w io.Writer) {
		row(w, "CONTACT", "SENT", "ANSWER")
		for _, v := range list {
			row(w, v.Contact, yesNo(v.Sent), v.Answer+v.Error)
		}
	})
	return errors.Join(append(failed, err)...)
}

// testFault gives a failure that names no way out one.
func testFault(c keys.Client, to contact.Contact, err error) error {
	err = fmt.Errorf("%s: %w", to.Key(), err)
	switch {
	case hint(err) != "":
		return err
	case c.ID.IsZero():
		return &advisedError{err, "correct the address in notify.operators, or the server in notify.smtp, and test again"}
	case to.Channel() == contact.Email:
		return &advisedError{err, fmt.Sprintf("if the address is wrong, `sealdrop client set %s --contact …`; if the server, see notify.smtp in the configuration", c.ID)}
	}
	return &advisedError{err, fmt.Sprintf("ask whoever runs the receiver; if it is the wrong one, `sealdrop client set %s --contact …`", c.ID)}
}

func (a *app) nobodyToTest(c keys.Client, channel contact.Channel) error {
	kind := "contact"
	if channel != "" {
		kind = string(channel) + " contact"
	}
	if c.ID.IsZero() {
		return &advisedError{errors.New("notify.operators names nobody"), "set it in the configuration, as in operators: [ops@example.com]"}
	}
	return &advisedError{
		fmt.Errorf("client %s has no %s", c.ID, kind),
		fmt.Sprintf("`sealdrop client set %s --contact-add email:ops@acme.example` adds one", c.ID),
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) notifyList() *cobra.Command {
	var state, client string
	var limit int64
	cmd := &cobra.Command{
		Use: "list [--state pending|sent|dead]", Short: "list messages, the newest first",
		Long: `Lists messages with what has become of them: pending, to be sent or sent again at the
time shown; sent, the other side took it; dead, given up, with the last error. What was
sent is kept for 30 days, what is dead for 90.`,
		Example: "  sealdrop notify list --state dead\n  sealdrop notify list --client acme -o json",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&state, "state", "", "only these: pending, sent or dead")
	cmd.Flags().StringVar(&client, "client", "", "only those to this client, by its `ID`")
	cmd.Flags().Int64Var(&limit, "limit", 100, "how many at most; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if state != "" && !slices.Contains(notify.States(), notify.State(state)) {
			return usagef(cmd, "--state is %q; it can be pending, sent or dead", state)
		}
		most, err := limitArg(cmd, limit)
		if err != nil {
			return err
		}
		if client != "" {
			if _, err := clientArg(cmd, client); err != nil {
				return err
			}
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) error {
			list, err := notify.List(ctx, g.db.Read(), notify.Filter{State: notify.State(state), Client: client, Limit: most})
			if err != nil {
				return err
			}
			return a.show(list, func(w io.Writer) {
				row(w, "ID", "CREATED", "CLIENT", "TO", "EVENT", "STATE", "FAILED", "DETAIL")
				for _, m := range list {
					row(w, m.ID, stamp(m.Created), m.Client, m.Channel+":"+m.Target, m.Kind, m.State, m.Tries, messageDetail(m))
				}
			})
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func messageDetail(m notify.Message) string {
	switch {
	case m.State == notify.Sent:
		return stamp(m.Settled) + " " + m.Answer
	case m.State == notify.Pending && m.Error == "":
		return "at " + stamp(m.Next)
	case m.State == notify.Pending:
		return "again at " + stamp(m.Next) + ": " + m.Error
	}
	return m.Error
}

func (a *app) notifyRetry() *cobra.Command {
	var dead bool
	cmd := &cobra.Command{
		Use: "retry {ID… | --dead}", Short: "send messages again that were given up, or now that wait",
		Long: `Has the running gateway send the messages now: those named, or with --dead all that
were given up. Each has the whole time of notify.retry before it again.`,
		Example: "  sealdrop notify retry --dead\n  sealdrop notify retry msg_7kq2c4x5v6b3n2m4l5k6j7h8g2",
		Args:    cobra.ArbitraryArgs,
	}
	cmd.Flags().BoolVar(&dead, "dead", false, "all that were given up")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if dead == (len(args) > 0) {
			return usagef(cmd, "name messages by their ids, or give --dead")
		}
		return a.withGateway(func(ctx context.Context, g *gateway, _ []string) (err error) {
			n := int64(len(args))
			if dead {
				n, err = notify.RetryDead(ctx, g.db, now())
			}
			for _, id := range args {
				if err := notify.RetryMessage(ctx, g.db, now(), id); err != nil {
					if errors.Is(err, notify.ErrUnknownMessage) {
						err = &advisedError{err, "`sealdrop notify list` shows the ids"}
					}
					return err
				}
			}
			if err != nil {
				return err
			}
			return a.show(map[string]int64{"retried": n}, func(w io.Writer) { row(w, fmt.Sprintf("%d messages will be sent now, by the running gateway", n)) })
		})(cmd, args)
	}
	return a.outputFlag(cmd)
}

func (a *app) notifyEvents() *cobra.Command {
	cmd := &cobra.Command{
		Use: "events", Short: "list what there is to be told of",
		Long:    "Lists the events, as they can follow a contact: a contact that names none gets all.",
		Example: "  sealdrop notify events\n  sealdrop client set acme --contact-add \"sms:+4915112345678 key.expiring,report.held\"",
		Args:    arguments(),
	}
	cmd.Flags().SortFlags = false
	type event struct {
		Event   contact.Kind `json:"event"`
		Meaning string       `json:"meaning"`
	}
	cmd.RunE = func(*cobra.Command, []string) error {
		var list []event
		for _, k := range contact.Kinds() {
			list = append(list, event{k, k.Sentence()})
		}
		return a.show(list, func(w io.Writer) {
			row(w, "EVENT", "WHEN")
			for _, e := range list {
				row(w, e.Event, e.Meaning)
			}
		})
	}
	return a.outputFlag(cmd)
}

func (a *app) notifySecret() *cobra.Command {
	var client string
	cmd := &cobra.Command{
		Use: "secret --client ID", Short: "show what a client's webhooks check signatures with",
		Long: `Shows the secret of each of the client's webhooks, for its receiver to check the
signature of Standard Webhooks (the header webhook-signature) with. Hand it over on a
safe way. It follows from the gateway's own key, the client and the URL, and is stored
nowhere; another URL, if only by another query (?v=2), has another secret.`,
		Example: "  sealdrop notify secret --client acme",
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&client, "client", "", "the client's `ID`")
	_ = cmd.MarkFlagRequired("client") // the flag was defined a line above
	type secret struct {
		URL    string `json:"url"`
		Secret string `json:"secret"`
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withClient(cmd, client, func(ctx context.Context, g *gateway, c keys.Client) error {
			hooks, list := notify.NewWebhook(g.own.Delivery, nil), []secret{}
			for _, to := range c.Notify.Contacts {
				if to.Channel() != contact.Webhook {
					continue
				}
				text, err := hooks.Secret(c.ID.String(), to.Target())
				if err != nil {
					return err
				}
				list = append(list, secret{to.Target(), text})
			}
			if len(list) == 0 {
				return a.nobodyToTest(c, contact.Webhook)
			}
			return a.show(list, func(w io.Writer) {
				row(w, "URL", "SECRET")
				for _, s := range list {
					row(w, s.URL, s.Secret)
				}
			})
		})
	}
	return a.outputFlag(cmd)
}

// notifyFlags are the flags of a client's choices.
type notifyFlags struct {
	contacts, add, remove                     []string
	language, second, digest, timezone, email string
	names                                     bool
}

func (f *notifyFlags) define(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.contacts, "contact", nil, "`CONTACT` that is told, instead of all that are now: email:ADDRESS, webhook:URL or sms:NUMBER, then a space and events, if not all (`notify events`); \"\" for nobody; can be given again")
	flags.StringArrayVar(&f.add, "contact-add", nil, "`CONTACT` to add, or whose events to change")
	flags.StringArrayVar(&f.remove, "contact-remove", nil, "`CONTACT` to take away")
	flags.StringVar(&f.language, "language", "", "what messages are written in: en, de, ja, pt-BR")
	flags.StringVar(&f.second, "second-language", "", "a language that each mail is in as well; \"\" for none")
	flags.StringVar(&f.digest, "digest", "", "when it is told of reports: each, or \"daily 07:00\"")
	flags.StringVar(&f.timezone, "timezone", "", "of the digest and of times in messages, such as Europe/Berlin")
	flags.BoolVar(&f.names, "show-names", false, "messages may have the names of reports")
	flags.StringVar(&f.email, "email-delivery", "", "mail the sealed reports themselves: off, attachment or pgp-mime")
	cmd.MarkFlagsMutuallyExclusive("contact", "contact-add")
	cmd.MarkFlagsMutuallyExclusive("contact", "contact-remove")
}

// notifyFlagNames lists the flags of [notifyFlags].
func notifyFlagNames() []string {
	return []string{"contact", "contact-add", "contact-remove", "language", "second-language", "digest", "timezone", "show-names", "email-delivery"}
}

// parse reads the flags; the function that it returns applies those that were given.
func (f *notifyFlags) parse(cmd *cobra.Command) (func(*contact.Preferences) error, error) {
	given := func(name string) bool { return cmd.Flags().Changed(name) }
	var lists [3][]contact.Contact
	for i, texts := range [][]string{f.contacts, f.add, f.remove} {
		for _, text := range texts {
			if text == "" && i == 0 {
				continue
			}
			c, err := contact.Parse(text)
			if err != nil {
				return nil, usagef(cmd, "--%s: %w", notifyFlagNames()[i], err)
			}
			lists[i] = append(lists[i], c)
		}
	}
	var p contact.Preferences
	var err [5]error
	p.Language, err[0] = contact.ParseLanguage(f.language)
	p.Second, err[1] = contact.ParseLanguage(f.second)
	p.Digest, err[2] = contact.ParseSchedule(f.digest)
	p.Timezone, err[3] = contact.ParseZone(f.timezone)
	p.Delivery, err[4] = contact.ParseDelivery(f.email)
	for i, name := range []string{"language", "second-language", "digest", "timezone", "email-delivery"} {
		if err[i] != nil {
			return nil, usagef(cmd, "--%s: %w", name, err[i])
		}
	}
	return func(to *contact.Preferences) error {
		for name, set := range map[string]func(){
			"contact":         func() { to.Contacts = lists[0] },
			"language":        func() { to.Language = p.Language },
			"second-language": func() { to.Second = p.Second },
			"digest":          func() { to.Digest = p.Digest },
			"timezone":        func() { to.Timezone = p.Timezone },
			"show-names":      func() { to.ShowNames = f.names },
			"email-delivery":  func() { to.Delivery = p.Delivery },
		} {
			if given(name) {
				set()
			}
		}
		var err error
		if to.Contacts, err = editContacts(to.Contacts, lists[1], lists[2]); err != nil {
			return err
		}
		return to.Check()
	}, nil
}

// checkLanguages refuses a language that was chosen and that there are no texts in.
func (f *notifyFlags) checkLanguages(cmd *cobra.Command, g *gateway, p contact.Preferences) error {
	if !cmd.Flags().Changed("language") && !cmd.Flags().Changed("second-language") {
		return nil
	}
	words, err := loadWords(g.config.Notify)
	if err != nil {
		return err
	}
	if err := checkLanguages(words, p, "--language", "--second-language"); err != nil {
		return usagef(cmd, "%w", err)
	}
	return nil
}

// editContacts adds and takes away contacts. One that is to be taken away must be
// there.
func editContacts(list, add, remove []contact.Contact) ([]contact.Contact, error) {
	list = slices.Clone(list)
	at := func(c contact.Contact) int {
		return slices.IndexFunc(list, func(other contact.Contact) bool { return other.Key() == c.Key() })
	}
	for _, c := range add {
		if i := at(c); i >= 0 {
			list[i] = c
			continue
		}
		list = append(list, c)
	}
	for _, c := range remove {
		i := at(c)
		if i < 0 {
			return nil, fmt.Errorf("it has no contact %s (%s)", c.Key(), contactText(list))
		}
		list = slices.Delete(list, i, i+1)
	}
	return list, nil
}

func contactText(list []contact.Contact) string {
	if len(list) == 0 {
		return "none"
	}
	texts := make([]string, 0, len(list))
	for _, c := range list {
		texts = append(texts, c.String())
	}
	return strings.Join(texts, "; ")
}

// showNotify prints who a client has told of what.
func showNotify(w io.Writer, c keys.Client) {
	p := c.Notify
	if p.IsZero() {
		row(w, "told", fmt.Sprintf("nobody; `sealdrop client set %s --contact email:ADDRESS` adds a contact", c.ID)+place(c, keys.FieldNotify))
		return
	}
	for _, to := range p.Contacts {
		row(w, "told", to.String()+place(c, keys.FieldNotify))
	}
	how := []string{"digest " + p.Digest.String()}
	for _, part := range []struct{ name, value string }{
		{"language", p.Language}, {"second language", p.Second}, {"timezone", p.Timezone.String()}, {"email delivery", string(p.Delivery)},
	} {
		if part.value != "" {
			how = append(how, part.name+" "+part.value)
		}
	}
	if p.ShowNames {
		how = append(how, "with names of reports")
	}
	row(w, "messages", strings.Join(how, ", "))
}
