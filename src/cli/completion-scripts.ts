/** Shells that can be told how to complete. */
export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/*
 * Each script hands the words up to the cursor to `sessiond __complete`, which prints what the last
 * of them may become, one a line. Nothing printed: names of files.
 */
export const completionScripts: Readonly<Record<Shell, string>> = {
  bash: `_sessiond() {
  # bash also splits at :, = and @, and replaces only what stands behind (with the @). Here a word is
  # what stands between spaces.
  local rest=\${COMP_LINE:0:COMP_POINT} words=() count=0 i piece line quoted before=
  for ((i = 0; i <= COMP_CWORD; i++)); do
    piece=\${COMP_WORDS[i]}
    if [[ $i -gt 0 && -n $rest && $rest != [[:space:]]* ]]; then
      words[count - 1]+=$piece
    else
      words[count++]=$piece
    fi
    rest=\${rest#"\${rest%%[![:space:]]*}"}
    rest=\${rest#"$piece"}
  done
  local word=\${words[count - 1]} breaks=\${COMP_WORDBREAKS//[^:=@]/}
  [[ -n $breaks ]] && before=\${word%"\${word##*[$breaks]}"} && before=\${before%@}
  COMPREPLY=()
  while IFS= read -r line; do
    printf -v quoted %q "$line"
    COMPREPLY+=("\${quoted#"$before"}")
  done < <(sessiond __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _sessiond sessiond
`,
  zsh: `#compdef sessiond
_sessiond() {
  local -a found
  found=("\${(@f)$(sessiond __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "\${found[1]}" ]]; then compadd -a found; else _files; fi
}
if [[ "\${funcstack[1]}" = _sessiond ]]; then _sessiond; else compdef _sessiond sessiond; fi
`,
  fish: `function __sessiond_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (sessiond __complete -- $words[2..-1] 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c sessiond -f -a '(__sessiond_complete)'
`,
};
