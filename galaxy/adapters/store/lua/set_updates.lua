-- What an app wants of base image updates. KEYS 9: updates. ARGV 1: app, 2: 'on', 'off' or 'pinned',
-- 3-4: prefixes of versions, late.
-- Returns {'set', pinned digest or ''}, {'missing', ''} or {'nothing active', ''}.
local app, choice, prefix = ARGV[1], ARGV[2], ARGV[3] .. ARGV[1] .. ':'
local last, active, images = unpack(redis.call('HMGET', APP, 'last', 'active', 'base_images'))
if not last then return {'missing', ''} end
local image, digest = '', ''
if choice == 'pinned' then
  if active then
    image, digest = unpack(redis.call('HMGET', prefix .. active, 'base_reference', 'base_digest'))
  end
  if not image or image == '' or not digest then return {'nothing active', ''} end
  redis.call('HSET', APP, 'pinned_image', image, 'pinned_digest', digest)
else
  redis.call('HDEL', APP, 'pinned_image', 'pinned_digest')
end
redis.call('HSET', APP, 'updates', choice)

-- What was begun before is bound by it, too.
for _, number in ipairs(choice ~= 'on' and redis.call('ZRANGE', UNFINISHED, 0, -1) or {}) do
  local key = prefix .. number
  local state, automatic, reference = unpack(redis.call('HMGET', key, 'state', 'automatic', 'base_reference'))
  if automatic == '1' then
    local reason = choice == 'off' and 'Updates of ' .. app .. ' were turned off before this one was active.'
      or app .. ' was pinned to another digest before this one was active.'
    local refused = move(key, app .. ' ' .. number, 'superseded', reason)
    if refused then return refused end
    redis.call('HSET', key, 'failure', reason)
  elseif choice == 'pinned' and reference == image and (state == 'queued' or state == 'retrying') then
    redis.call('HSET', key, 'wanted_digest', digest)
  end
end
-- what it missed meanwhile
for missed in string.gmatch(choice == 'on' and images or '', '%S+') do
  redis.call('ZINCRBY', ARGV[4] .. missed, 1, app)
  redis.call('ZADD', KEYS[9], ms(now_ms()), missed)
end
return {'set', digest}
