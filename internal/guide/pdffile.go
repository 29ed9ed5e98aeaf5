package guide

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"
	"unicode/utf16"
)

// The objects before the pages.
const (
	objCatalog = 1 + iota
	objPages
	objInfo
	objPlain
	objBold
	objMono
	objJapanese
	objDescendant
	objDescriptor
	objUnicode
	objFirstPage
)

// toUnicode lets readers that lack the table of the Japanese encoding copy and search
// the text: its codes are UTF-16 as it is.
const toUnicode = `/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CMapName /Adobe-Identity-UCS def /CMapType 2 def
1 begincodespacerange <0000> <FFFF> endcodespacerange
1 beginbfrange <0000> <FFFF> <0000> endbfrange
endcmap CMapName currentdict /CMap defineresource pop end end`

// file puts the pages that are done together to a PDF (ISO 32000-1 section 7.5).
func (p *pages) file(name, language string) []byte {
	w := &pdfFile{}
	w.out.WriteString("%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
	var kids strings.Builder
	for i := range p.done {
		fmt.Fprintf(&kids, "%d 0 R ", objFirstPage+2*i)
	}
	w.object(fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R /Lang (%s) /ViewerPreferences << /DisplayDocTitle true >> >>", objPages, language))
	w.object(fmt.Sprintf("<< /Type /Pages /Count %d /Kids [ %s] >>", len(p.done), kids.String()))
	w.object(fmt.Sprintf("<< /Title %s /Producer (Sealdrop) >>", unicodeString(name)))
	for _, font := range []string{"Helvetica", "Helvetica-Bold", "Courier"} {
		w.object(fmt.Sprintf("<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>", font))
	}
	w.object(fmt.Sprintf("<< /Type /Font /Subtype /Type0 /BaseFont /HeiseiKakuGo-W5-UniJIS-UTF16-H /Encoding /UniJIS-UTF16-H /DescendantFonts [ %d 0 R ] /ToUnicode %d 0 R >>",
		objDescendant, objUnicode))
	w.object(fmt.Sprintf("<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HeiseiKakuGo-W5 /CIDSystemInfo << /Registry (Adobe) /Ordering (Japan1) /Supplement 5 >> /DW 1000 /FontDescriptor %d 0 R >>",
		objDescriptor))
	w.object("<< /Type /FontDescriptor /FontName /HeiseiKakuGo-W5 /Flags 4 /FontBBox [ -92 -250 1010 922 ] /ItalicAngle 0 /Ascent 752 /Descent -221 /CapHeight 737 /StemV 114 >>")
	w.stream([]byte(toUnicode))
	fonts := fmt.Sprintf("<< /P %d 0 R /B %d 0 R /M %d 0 R /J %d 0 R >>", objPlain, objBold, objMono, objJapanese)
	for i, content := range p.done {
		number := &pages{}
		number.show(fmt.Sprintf("%d / %d", i+1, len(p.done)), pageWidth/2-12, margin/2, 8, plain, ink)
		w.object(fmt.Sprintf("<< /Type /Page /Parent %d 0 R /MediaBox [ 0 0 %g %g ] /Resources << /Font %s >> /Contents %d 0 R >>",
			objPages, pageWidth, pageHeight, fonts, objFirstPage+2*i+1))
		w.stream(append(bytes.Clone(content), number.now.Bytes()...))
	}
	return w.close()
}

// pdfFile writes objects in the order of their numbers.
type pdfFile struct {
	out     bytes.Buffer
	offsets []int
}

func (w *pdfFile) object(body string) {
	w.offsets = append(w.offsets, w.out.Len())
	fmt.Fprintf(&w.out, "%d 0 obj\n%s\nendobj\n", len(w.offsets), body)
}

func (w *pdfFile) stream(content []byte) {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, _ = z.Write(content) // to memory
	_ = z.Close()
	w.object(fmt.Sprintf("<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream", packed.Len(), packed.Bytes()))
}

func (w *pdfFile) close() []byte {
	at := w.out.Len()
	fmt.Fprintf(&w.out, "xref\n0 %d\n0000000000 65535 f \n", len(w.offsets)+1)
	for _, o := range w.offsets {
		fmt.Fprintf(&w.out, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&w.out, "trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(w.offsets)+1, objCatalog, objInfo, at)
	return w.out.Bytes()
}

// unicodeString writes text as UTF-16 with its byte order mark.
func unicodeString(text string) string {
	var b strings.Builder
	b.WriteString("<FEFF")
	for _, u := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String() + ">"
}
