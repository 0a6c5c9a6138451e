-- `Backend::outcomes`. Arguments: job id, hash… Returns a flat list: value, failure of each call, up to MOST_AT_ONCE
-- bytes.

local failure = 'failure/' .. ARGV[2]
local flat, bytes = {}, 0
for n = 3, #ARGV do
  local pair = fields(record(ARGV[n]), 'value', failure)
  flat[#flat + 1] = pair[1]
  flat[#flat + 1] = pair[2]
  bytes = bytes + size(pair)
  if bytes > MOST_AT_ONCE then break end
end
return flat
