package reports

import "fmt"

// SizeText shows a number of bytes to people: "1.5 MiB". It rounds to the nearest
// tenth; what is told of a limit rounds down instead, see [QuotaError].
func SizeText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, exp := float64(n)/unit, 0
	for value >= unit && exp < 4 {
		value /= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exp])
}
