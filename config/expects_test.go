package config

import (
	"testing"
	"time"
)

func TestExpects(t *testing.T) {
	t.Parallel()
	c, _ := loadText(t, `
-- config.yaml --
status: {timezone: America/New_York}
clients:
  - id: acme
    allow: [203.0.113.7]
    expects:
      - name: Activity_*.csv
        by: 06:30
        days: [mon, tue]
        timezone: Europe/Berlin
      - {name: Balance.csv, by: "18:00"}
`)
	if c.Status.Timezone.String() != "America/New_York" {
		t.Errorf("timezone %s", c.Status.Timezone)
	}
	list := c.Clients[0].Expects
	if len(list) != 2 || list[0].String() != "Activity_*.csv by 06:30 mon,tue" || list[1].String() != "Balance.csv by 18:00 daily" {
		t.Fatalf("%v", list)
	}
	if list[0].Zone.String() != "Europe/Berlin" || list[1].Zone != nil || list[1].In(c.Status.Timezone).Zone != c.Status.Timezone {
		t.Errorf("zones %v, %v", list[0].Zone, list[1].Zone)
	}
	_, value, err := c.Effective()
	if err != nil {
		t.Fatal(err)
	}
	shown := value["clients"].([]any)[0].(map[string]any)["expects"].([]any)
	if first := shown[0].(map[string]any); first["by"] != "06:30" || first["timezone"] != "Europe/Berlin" || first["days"] != "mon,tue" {
		t.Errorf("%v", shown)
	}
	if c, _ := loadText(t, "-- config.yaml --\nstatus: {timezone: local}\n"); c.Status.Timezone != time.Local {
		t.Errorf("timezone %s", c.Status.Timezone)
	}
}
